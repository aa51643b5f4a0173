"""Chat messages at rest: what can read them, and what can not."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from pkg.crypt.messages import (
    CryptSettings,
    DataKey,
    MessageIdentity,
    OriginalKey,
    UnreadableMessage,
    WrappingKeys,
    _did_seal,
)
from pkg.settings import SettingsError

IDENTITY = MessageIdentity(from_user_id=1, to_user_id=2, created_at_ms=1_700_000_000_000)
TEXT = "晚上一起吃饭吗 😀🐶"


def make_pair(directory: Path, name: str, *, bits: int = 2048) -> rsa.RSAPrivateKey:
    pair = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    pem = pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / f"{name}.pem").write_bytes(pem)
    return pair


def make_keys(directory: Path, key_id: str = "m1", original: str | None = None) -> WrappingKeys:
    if not (directory / f"{key_id}.pem").exists():
        make_pair(directory, key_id)
    settings = CryptSettings(key_id=key_id, private_keys_dir=directory, original_key_id=original)
    return WrappingKeys(settings)


def make_data_key(keys: WrappingKeys, key_id: int = 1) -> DataKey:
    return keys.unwrap(key_id, keys.make_wrapped(), pair_id=keys.current_id)


def test_a_text_of_any_length_comes_back_as_it_was_sent(tmp_path: Path):
    key = make_data_key(make_keys(tmp_path))

    for text in (" ", TEXT, "😀" * 1000, "line\nline\t\0"):
        assert key.decrypt(key.encrypt(text, IDENTITY), IDENTITY) == text


def test_the_same_text_is_stored_differently_each_time(tmp_path: Path):
    key = make_data_key(make_keys(tmp_path))

    stored = {key.encrypt(TEXT, IDENTITY) for _ in range(50)}

    assert len(stored) == 50
    assert not any("吃饭".encode() in base64.b64decode(content) for content in stored)


@pytest.mark.parametrize("place", ["from_user_id", "to_user_id", "created_at_ms"])
def test_a_row_cannot_take_the_place_of_another(tmp_path: Path, place: str):
    key = make_data_key(make_keys(tmp_path))
    stored = key.encrypt(TEXT, IDENTITY)
    elsewhere = replace(IDENTITY, **{place: 7})

    with pytest.raises(UnreadableMessage):
        key.decrypt(stored, elsewhere)


def test_a_changed_row_and_another_key_are_refused(tmp_path: Path):
    keys = make_keys(tmp_path)
    key, other = make_data_key(keys), make_data_key(keys, 2)
    sealed = bytearray(base64.b64decode(key.encrypt(TEXT, IDENTITY)))
    sealed[20] ^= 1

    for reader, stored in (
        (key, base64.b64encode(sealed).decode()),
        (key, "not base64!"),
        (key, ""),
        (other, key.encrypt(TEXT, IDENTITY)),
    ):
        with pytest.raises(UnreadableMessage):
            reader.decrypt(stored, IDENTITY)


def test_a_data_key_is_wrapped_anew_under_a_pair_that_was_added_meanwhile(tmp_path: Path):
    old, running = make_keys(tmp_path, "m1"), make_keys(tmp_path, "m1")
    wrapped = old.make_wrapped()
    stored = old.unwrap(1, wrapped, pair_id="m1").encrypt(TEXT, IDENTITY)

    rewrapped = make_keys(tmp_path, "m2").rewrap(wrapped, pair_id="m1")

    assert running.unwrap(1, rewrapped, pair_id="m2").decrypt(stored, IDENTITY) == TEXT
    with pytest.raises(SettingsError):
        running.unwrap(1, rewrapped, pair_id="m1")


@pytest.mark.parametrize("named", [None, "original"])
def test_messages_of_the_original_are_readable(tmp_path: Path, named: str | None):
    pair = make_pair(tmp_path, "original")
    keys = make_keys(tmp_path, "m1", named)
    sealed = pair.public_key().encrypt("你好".encode(), padding.PKCS1v15())

    assert keys.decrypt_original(base64.b64encode(sealed).decode()) == "你好"


def test_of_several_pairs_the_one_that_sealed_a_message_reads_it_and_no_other(tmp_path: Path):
    pair = make_pair(tmp_path, "original")
    make_keys(tmp_path, "a")
    other = make_pair(tmp_path, "b")
    sealed = pair.public_key().encrypt("你好".encode(), padding.PKCS1v15())

    assert _did_seal(pair, sealed)
    assert not _did_seal(other, sealed)
    # A wrong pair's random bytes are text now and then: none of these may be shown.
    for _ in range(20):
        keys = make_keys(tmp_path, "a")
        assert keys.decrypt_original(base64.b64encode(sealed).decode()) == "你好"


def test_the_pair_of_an_original_may_be_weak_but_reads_alone(tmp_path: Path):
    pair = make_pair(tmp_path, "original", bits=1024)
    key = OriginalKey(tmp_path / "original.pem")
    stored = base64.b64encode(pair.public_key().encrypt(TEXT.encode(), padding.PKCS1v15())).decode()

    assert key.is_ciphertext(stored)
    assert key.decrypt(stored) == TEXT
    for other in (stored[:-4], "plain text", "QUJD", ""):
        assert not key.is_ciphertext(other)
        with pytest.raises(UnreadableMessage):
            key.decrypt(other)
    with pytest.raises(SettingsError, match="not an RSA key"):
        make_keys(tmp_path, "original")


def test_what_no_pair_encrypted_is_unreadable(tmp_path: Path):
    keys = make_keys(tmp_path)

    for stored in ("你好", "", "QUJD"):
        with pytest.raises(UnreadableMessage):
            keys.decrypt_original(stored)


def test_a_missing_or_weak_pair_is_said_at_the_start(tmp_path: Path):
    make_pair(tmp_path, "weak", bits=1024)
    (tmp_path / "broken.pem").write_text("no key")

    for name in ("absent", "weak", "broken"):
        settings = CryptSettings(key_id=name, private_keys_dir=tmp_path)
        with pytest.raises(SettingsError, match="private_keys_dir"):
            WrappingKeys(settings)
