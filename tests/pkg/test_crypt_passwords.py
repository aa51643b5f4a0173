"""Password hashes: argon2id off the event loop, and the MD5 of the original until the next login."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher

from pkg.crypt import passwords as module
from pkg.crypt.passwords import HASHING_THREADS, HashingSettings, Passwords, wrap_md5

NETWORK = "192.0.2.1"
PASSWORD = "密码 🐶 s3cret"


class CountingHasher(PasswordHasher):
    """The real hasher; tells how often it did its expensive work, and where."""

    threads: list[str]
    running: int
    most_running: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.threads, self.running, self.most_running = [], 0, 0
        self._lock = threading.Lock()

    def hash(self, *args: Any, **kwargs: Any) -> str:
        self._enter()
        try:
            return super().hash(*args, **kwargs)
        finally:
            self.running -= 1

    def verify(self, *args: Any, **kwargs: Any) -> Any:
        self._enter()
        try:
            return super().verify(*args, **kwargs)
        finally:
            self.running -= 1

    def _enter(self) -> None:
        with self._lock:
            self.threads.append(threading.current_thread().name)
            self.running += 1
            self.most_running = max(self.most_running, self.running)


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[Passwords]:
    monkeypatch.setattr(module, "PasswordHasher", CountingHasher)
    made = Passwords(HashingSettings(max_waiting=20, max_waiting_per_address=20, max_wait_s=20))
    yield made
    made.close()


@pytest.fixture
def hasher(passwords: Passwords) -> CountingHasher:
    counting = passwords._hasher
    assert isinstance(counting, CountingHasher)
    counting.threads.clear()
    return counting


def md5(password: str) -> str:
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


async def test_a_hash_is_argon2id_with_the_advised_parameters(passwords):
    stored = await passwords.hash(PASSWORD, network=NETWORK)

    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in stored


async def test_equal_passwords_have_different_hashes(passwords):
    assert await passwords.hash(PASSWORD, network=NETWORK) != await passwords.hash(
        PASSWORD, network=NETWORK
    )


async def test_only_the_password_itself_matches(passwords):
    stored = await passwords.hash(PASSWORD, network=NETWORK)

    assert await passwords.verify(stored, PASSWORD, network=NETWORK)
    assert not await passwords.verify(stored, PASSWORD + " ", network=NETWORK)
    assert not await passwords.verify(stored, "", network=NETWORK)
    assert not passwords.needs_rehash(stored)


async def test_the_md5_of_the_original_matches_and_is_to_be_replaced(passwords):
    stored = md5(PASSWORD)

    assert await passwords.verify(stored, PASSWORD, network=NETWORK)
    assert not await passwords.verify(stored, "other", network=NETWORK)
    assert not await passwords.verify(stored, stored, network=NETWORK)
    assert passwords.needs_rehash(stored)


async def test_a_wrapped_md5_matches_the_password_and_is_to_be_replaced(passwords):
    stored = wrap_md5(md5(PASSWORD))

    assert md5(PASSWORD) not in stored
    assert await passwords.verify(stored, PASSWORD, network=NETWORK)
    assert not await passwords.verify(stored, "other", network=NETWORK)
    # The MD5 itself is worth nothing, with and without what marks it.
    assert not await passwords.verify(stored, md5(PASSWORD), network=NETWORK)
    assert not await passwords.verify(stored.removeprefix("md5:"), PASSWORD, network=NETWORK)
    assert passwords.needs_rehash(stored)


async def test_a_hash_with_weaker_parameters_is_to_be_replaced(passwords):
    weak = PasswordHasher(1, 8 * 1024, 1).hash(PASSWORD)

    assert await passwords.verify(weak, PASSWORD, network=NETWORK)
    assert passwords.needs_rehash(weak)


@pytest.mark.parametrize("stored", ["none", "$argon2id$broken", "x" * 256])
async def test_a_broken_hash_matches_nothing(passwords, stored):
    assert not await passwords.verify(stored, PASSWORD, network=NETWORK)


async def test_no_hash_matches_nothing(passwords):
    assert not await passwords.verify(None, PASSWORD, network=NETWORK)
    assert not await passwords.verify(None, "decoy", network=NETWORK)


@pytest.mark.parametrize(
    "kind", ["known", "known, wrong", "unknown", "md5", "md5, wrong", "wrapped", ""]
)
async def test_every_login_costs_one_hash_whoever_it_is(passwords, hasher, kind):
    stored = {
        "known": PasswordHasher(2, 19 * 1024, 1).hash(PASSWORD),
        "unknown": None,
        "md5": md5(PASSWORD),
        "wrapped": "md5:" + PasswordHasher(2, 19 * 1024, 1).hash(md5(PASSWORD)),
        "": "",
    }[kind.removesuffix(", wrong")]

    await passwords.verify(stored, "other" if kind.endswith("wrong") else PASSWORD, network=NETWORK)

    assert len(hasher.threads) == 1


async def test_hashing_never_runs_on_the_event_loop(passwords, hasher):
    stored = await passwords.hash(PASSWORD, network=NETWORK)
    await asyncio.gather(*(passwords.verify(stored, PASSWORD, network=NETWORK) for _ in range(6)))

    assert len(hasher.threads) == 7
    assert all(name.startswith("argon2") for name in hasher.threads)
    assert hasher.most_running <= HASHING_THREADS
