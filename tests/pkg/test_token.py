"""Tokens: one algorithm, known keys, the right issuer, and an end."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pkg.errors import Unauthenticated
from pkg.ids import MAX_ID
from pkg.settings import SettingsError
from pkg.token import MAX_TOKEN_CHARS, TokenIssuer, TokenSettings, TokenVerifier

USER_ID = 41


class KeyFolder:
    """Key pairs on disk, as a deployment has them."""

    def __init__(self, directory: Path) -> None:
        self.private, self.public = directory / "private", directory / "public"
        self.private.mkdir()
        self.public.mkdir()

    def add(self, kid: str) -> Ed25519PrivateKey:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.private / f"{kid}.pem").write_bytes(pem)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.public / f"{kid}.pem").write_bytes(public)
        return key

    def settings(self, kid: str = "k1", **changes: Any) -> TokenSettings:
        values = {
            "issuer": "dousheng",
            "lifetime_s": 600,
            "key_id": kid,
            "public_keys_dir": self.public,
            "private_key_file": self.private / f"{kid}.pem",
        }
        return TokenSettings(**(values | changes))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    folder = KeyFolder(tmp_path_factory.mktemp("token"))
    folder.add("k1")
    return folder


@pytest.fixture(scope="module")
def verifier(keys: KeyFolder) -> TokenVerifier:
    return TokenVerifier(keys.settings())


@pytest.fixture(scope="module")
def token(keys: KeyFolder) -> str:
    return TokenIssuer(keys.settings()).issue(USER_ID)


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def claims(**changes: Any) -> dict[str, Any]:
    return {"sub": str(USER_ID), "iss": "dousheng", "exp": int(time.time()) + 600} | changes


def sign(key: Ed25519PrivateKey, kid: str = "k1", **changes: Any) -> str:
    values = {name: value for name, value in claims(**changes).items() if value is not None}
    return jwt.encode(values, key, algorithm="EdDSA", headers={"kid": kid})


def own_key(keys: KeyFolder) -> Ed25519PrivateKey:
    pem = (keys.private / "k1.pem").read_bytes()
    key = jwt.get_algorithm_by_name("EdDSA").prepare_key(pem)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def test_a_token_names_whom_it_was_issued_to(verifier, token):
    assert verifier.verify(token) == USER_ID


def test_a_token_names_its_key_and_lives_as_long_as_configured(keys, token):
    header = jwt.get_unverified_header(token)
    content = jwt.decode(token, options={"verify_signature": False})

    assert header["alg"] == "EdDSA"
    assert header["kid"] == "k1"
    assert content["exp"] - content["iat"] == keys.settings().lifetime_s


def test_the_public_key_is_no_secret_to_sign_with(keys, verifier):
    header = encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k1"}).encode())
    signed = f"{header}.{encode(json.dumps(claims()).encode())}"
    public_key = (keys.public / "k1.pem").read_bytes()
    forged = f"{signed}.{encode(hmac.digest(public_key, signed.encode(), hashlib.sha256))}"

    with pytest.raises(Unauthenticated):
        verifier.verify(forged)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_a_token_without_a_signature_is_refused(verifier, algorithm):
    header = encode(json.dumps({"alg": algorithm, "kid": "k1"}).encode())
    forged = f"{header}.{encode(json.dumps(claims()).encode())}."

    with pytest.raises(Unauthenticated):
        verifier.verify(forged)


def test_a_key_of_ones_own_is_refused_under_a_known_kid(verifier):
    with pytest.raises(Unauthenticated):
        verifier.verify(sign(Ed25519PrivateKey.generate()))


@pytest.mark.parametrize("kid", ["k2", "", "../k1", "k1.pem"])
def test_an_unknown_kid_is_refused(keys, verifier, kid):
    with pytest.raises(Unauthenticated):
        verifier.verify(sign(own_key(keys), kid))


def test_a_token_without_kid_is_refused(keys, verifier):
    with pytest.raises(Unauthenticated):
        verifier.verify(jwt.encode(claims(), own_key(keys), algorithm="EdDSA"))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"exp": None},
        pytest.param({"exp": int(time.time()) - 1}, id="ended a second ago"),
        {"sub": None},
        {"sub": "0"},
        {"sub": "-1"},
        {"sub": str(MAX_ID + 1)},
        {"sub": "9" * 40},
        {"sub": "me"},
    ],
    ids=str,
)
def test_a_signature_alone_is_not_enough(keys, verifier, changes):
    with pytest.raises(Unauthenticated):
        verifier.verify(sign(own_key(keys), **changes))


def test_keys_can_be_rotated_without_logging_anybody_out(tmp_path):
    folder = KeyFolder(tmp_path)
    folder.add("old")
    from_before = TokenIssuer(folder.settings("old")).issue(1)
    folder.add("new")
    verifier = TokenVerifier(folder.settings("new"))

    from_after = TokenIssuer(folder.settings("new")).issue(2)

    assert verifier.verify(from_before) == 1
    assert verifier.verify(from_after) == 2


def test_a_key_that_was_taken_away_verifies_nothing(tmp_path):
    folder = KeyFolder(tmp_path)
    folder.add("old")
    folder.add("new")
    from_before = TokenIssuer(folder.settings("old")).issue(1)
    (folder.public / "old.pem").unlink()

    with pytest.raises(Unauthenticated):
        TokenVerifier(folder.settings("new")).verify(from_before)


def test_a_token_that_was_verified_before_still_expires(monkeypatch, keys, token):
    verifier = TokenVerifier(keys.settings())
    verifier.verify(token)
    end = time.time() + keys.settings().lifetime_s

    monkeypatch.setattr(time, "time", lambda: end + 1)

    with pytest.raises(Unauthenticated):
        verifier.verify(token)


@pytest.mark.parametrize("ahead_s", [1, 5, 3600])
def test_a_token_of_a_host_whose_clock_is_ahead_is_accepted(monkeypatch, keys, ahead_s):
    """The same is seen by a host whose clock went back after it had issued tokens."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + ahead_s)
    token = TokenIssuer(keys.settings()).issue(USER_ID)
    monkeypatch.setattr(time, "time", lambda: now)

    assert TokenVerifier(keys.settings()).verify(token) == USER_ID


def test_a_huge_token_is_refused_unread(keys, verifier):
    huge = sign(own_key(keys), padding="x" * MAX_TOKEN_CHARS)

    with pytest.raises(Unauthenticated):
        verifier.verify(huge)


def test_a_deeply_nested_header_is_refused_wherever_it_is_read(verifier):
    nested = f"{encode(b'[' * 760)}.e30."

    def verify_below(frames: int) -> int:
        return int(verify_below(frames - 1) if frames else verifier.verify(nested))

    with pytest.raises(Unauthenticated):
        verify_below(300)


@pytest.mark.parametrize(
    "token", ["", " ", ".", "..", "a.b.c", "e30.e30.e30", "\x00", "令牌", "\ud800"]
)
def test_garbage_is_refused(verifier, token):
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(["k1", "EdDSA", "none", "HS256"]) | JSON
        for name in ("alg", "kid", "typ", "b64", "crit", "jwk")
    },
)
PARTS = st.one_of(st.binary(max_size=40), (HEADERS | JSON).map(lambda x: json.dumps(x).encode()))
TOKENS = st.one_of(
    st.text(),
    st.lists(PARTS.map(encode) | st.text(max_size=5), min_size=2, max_size=5).map(".".join),
)


@given(token=TOKENS)
@settings(max_examples=150, deadline=None)
def test_no_text_raises_anything_but_unauthenticated(verifier, token):
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_changed_token_never_names_somebody_else(verifier, token, data):
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.characters(codec="ascii")) + token[place + 1 :]

    try:
        named = verifier.verify(changed)
    except Unauthenticated:
        return
    assert named == USER_ID


def test_without_the_private_key_nobody_issues(keys):
    with pytest.raises(SettingsError, match="private_key_file"):
        TokenIssuer(keys.settings(private_key_file=None))


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN PUBLIC KEY-----\n"])
def test_a_key_file_that_cannot_be_used_is_named(tmp_path, content):
    folder = KeyFolder(tmp_path)
    folder.add("k1")
    (folder.public / "broken.pem").write_bytes(content)

    with pytest.raises(SettingsError, match=r"broken\.pem"):
        TokenVerifier(folder.settings())


def test_no_public_key_at_all_is_told_at_the_start(tmp_path):
    with pytest.raises(SettingsError, match="public_keys_dir"):
        TokenVerifier(KeyFolder(tmp_path).settings())
