"""Rotating the key of tokens while people log in and act; needs no server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pkg.errors import Unauthenticated
from pkg.token import TokenIssuer, TokenSettings, TokenVerifier
from scripts.operator.rotate_token_key import RotationRefused, add_key, drop_key
from tests.gateway.conftest import make_token_keys


@pytest.fixture
def before(tmp_path: Path) -> TokenSettings:
    """Keys of which k1 signs."""
    return make_token_keys(tmp_path)


def switched(settings: TokenSettings, kid: str, private: Path) -> TokenSettings:
    return settings.model_copy(update={"key_id": kid, "private_key_file": private})


def made_at_s(settings: TokenSettings, kid: str) -> float:
    return (settings.public_keys_dir / f"{kid}.pem").stat().st_mtime


class Instances:
    """Two user services that issue, and verifiers that were all started before the rotation."""

    def __init__(self, settings: TokenSettings) -> None:
        self.issuers = [TokenIssuer(settings), TokenIssuer(settings)]
        self.verifiers = [TokenVerifier(settings) for _ in range(3)]
        self.refused: list[Unauthenticated] = []
        self.verified = 0
        self.held = [self.issuers[0].issue(41)]  # by somebody who logged in long ago

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """Log in at both and act at each, all the time."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                tokens = [*self.held, *(issuer.issue(42) for issuer in self.issuers)]
                for verifier in self.verifiers:
                    for token in tokens:
                        self._verify(verifier, token)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            stop.set()
            worker.join()

    def wait_for_more(self) -> None:
        """Let the load see the present state."""
        seen, moment = self.verified, threading.Event()
        while self.verified < seen + 20:
            moment.wait(0.001)

    def _verify(self, verifier: TokenVerifier, token: str) -> None:
        try:
            verifier.verify(token)
        except Unauthenticated as exc:
            self.refused.append(exc)
        self.verified += 1


def test_no_valid_token_is_refused_while_the_key_is_rotated(before: TokenSettings):
    instances = Instances(before)

    with instances.under_load():
        instances.wait_for_more()
        after = switched(before, "k2", add_key(before, "k2"))
        instances.wait_for_more()
        instances.issuers[0] = TokenIssuer(after)
        instances.wait_for_more()
        instances.issuers[1] = TokenIssuer(after)
        instances.wait_for_more()
        instances.held.clear()  # The old login has expired.
        instances.wait_for_more()
        drop_key(after, "k1", leaked=False, now_s=made_at_s(after, "k2") + after.lifetime_s)
        instances.verifiers = [TokenVerifier(after) for _ in range(3)]
        instances.wait_for_more()

    assert instances.refused == []
    with pytest.raises(Unauthenticated):
        TokenVerifier(after).verify(TokenIssuer(before).issue(41))


def test_a_key_whose_tokens_may_be_valid_is_dropped_only_when_it_leaked(before: TokenSettings):
    after = switched(before, "k2", add_key(before, "k2"))
    earlier = made_at_s(after, "k2") + after.lifetime_s - 1

    with pytest.raises(RotationRefused, match="may be valid until"):
        drop_key(after, "k1", leaked=False, now_s=earlier)
    drop_key(after, "k1", leaked=True, now_s=earlier)

    assert [path.name for path in after.public_keys_dir.iterdir()] == ["k2.pem"]


@pytest.mark.parametrize(
    ("kid", "told"), [("k1", "already"), ("../k3", "no name"), ("", "no name")]
)
def test_a_name_that_is_taken_or_none_is_refused(before: TokenSettings, kid: str, told: str):
    with pytest.raises(RotationRefused, match=told):
        add_key(before, kid)


@pytest.mark.parametrize(("kid", "told"), [("k1", "it signs"), ("k9", "there is no key")])
def test_a_key_that_signs_or_is_not_there_is_not_dropped(
    before: TokenSettings, kid: str, told: str
):
    with pytest.raises(RotationRefused, match=told):
        drop_key(before, kid, leaked=True, now_s=0)


def test_a_new_public_key_that_cannot_be_read_yet_harms_no_other(before: TokenSettings):
    verifier = TokenVerifier(before)
    after = switched(before, "k2", add_key(before, "k2"))
    public = after.public_keys_dir / "k2.pem"
    whole = public.read_bytes()
    public.write_bytes(whole[:20])

    with pytest.raises(Unauthenticated):
        verifier.verify(TokenIssuer(after).issue(42))
    assert verifier.verify(TokenIssuer(before).issue(41)) == 41
    public.write_bytes(whole)

    assert verifier.verify(TokenIssuer(after).issue(42)) == 42
