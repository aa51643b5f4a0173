"""Pending actions: the likes and follows of one kind that MySQL has not absorbed yet.

They live in the registers `w` (and, for reads, `r`) and in two indexes of them. The key formats are in keys.py, and what must happen to
several keys at once is in scripts/*.lua.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import LockError

from dal.redis.changes import Subject, add_changes
from dal.redis.client import translated_errors
from dal.redis.keys import (
    PARTITIONS,
    aside_key,
    flush_lock_key,
    parse_register,
    partition_of,
    pending_key,
    register_keys,
    register_value,
    user_pending_key,
)
from dal.redis.scripting import run_script
from dal.redis.trace_contexts import TraceContexts
from dal.registers.model import Action, ActionType, Kind
from pkg.errors import DependencyUnavailable

# `r` outlives any read that began before the commit, and the replica lag that is tolerated.
READ_TTL_MS = 30_000
FLUSH_LOCK_TTL_S = 10.0
# Another process that looks whether there is anything to flush holds the lock for a few milliseconds.
FLUSH_LOCK_WAIT_S = 0.1
FLUSH_LOCK_POLL_S = 0.01
# A batch takes the oldest actions; one busy partition must not fill it while others hold older ones.
PENDING_PER_PARTITION = 250
READ_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an operator watches of one kind."""

    pending: int
    oldest_age_s: float  # 0 where nothing is pending
    aside: int


@dataclass(frozen=True, slots=True)
class AsideAction:
    """An action that MySQL refused, and why."""

    action: Action
    reason: str


class FlushLock:
    """Says that this process flushes. It saves work; correctness does not depend on it."""

    def __init__(self, redis: Redis, kind: Kind) -> None:
        self._redis = redis
        self._lock = redis.lock(
            flush_lock_key(kind),
            FLUSH_LOCK_TTL_S,
            sleep=FLUSH_LOCK_POLL_S,
            blocking_timeout=FLUSH_LOCK_WAIT_S,
            thread_local=False,
        )

    async def acquire(self) -> bool:
        """Return whether we hold it now; wait only as long as another process needs to look."""
        with translated_errors():
            if await self._lock.acquire():
                return True
            # Where the server's clock went back, the lock of somebody who died would stand until the clock is where it was.
            await self._redis.pexpire(self._lock.name, int(FLUSH_LOCK_TTL_S * 1000), lt=True)
            return False

    async def extend(self) -> bool:
        """Hold it for its whole time again; return False where it was lost."""
        try:
            with translated_errors():
                return bool(await self._lock.extend(FLUSH_LOCK_TTL_S, replace_ttl=True))
        except DependencyUnavailable as exc:
            if isinstance(exc.__cause__, LockError):
                return False
            raise

    async def release(self) -> None:
        """Give it to the next one; a lock that was lost stays where it is."""
        try:
            with translated_errors():
                await self._lock.release()
        except DependencyUnavailable as exc:
            if not isinstance(exc.__cause__, LockError):
                raise


class PendingActions:
    """The pending actions of one kind, in the Redis for actions.

    Every method raises DependencyUnavailable where that Redis is down, full, or too slow.
    """

    def __init__(self, redis: Redis, kind: Kind) -> None:
        self._redis = redis
        self.kind = kind
        self.traces = TraceContexts(redis, kind.value)

    async def apply_actions(self, actions: Iterable[Action]) -> int:
        """Make actions pending that are newer than what is known of their pair; return how many were.

        When this returns they are on Redis' disk, and it is announced that what these users like or follow has changed.
        """
        calls = []
        viewers = set()
        for partition, members in self._by_partition(actions).items():
            keys, arguments = [pending_key(self.kind, partition)], [str(READ_TTL_MS)]
            for action in members:
                keys += self._keys(action)
                entries = _index_entries(action)
                arguments += [*entries, str(action.version), register_value(action)]
                viewers.add((Subject.VIEWER, action.user_id))
            calls.append((keys, arguments))
        if not calls:
            return 0
        announce = partial(add_changes, changes=viewers)
        return sum(await run_script(self._redis, "apply_actions", calls, then=announce))

    async def list_oldest(self, limit: int) -> list[Action]:
        """Return at most `limit` pending actions, about the oldest first."""
        per_partition = min(limit, PENDING_PER_PARTITION)
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for partition in range(PARTITIONS):
                    key = pending_key(self.kind, partition)
                    pipeline.zrange(key, 0, per_partition - 1, withscores=True)
                scored = [item for found in await pipeline.execute() for item in found]
        scored.sort(key=lambda item: item[1])
        return await self._read_pending([_to_pair(member) for member, _score in scored[:limit]])

    async def _read_pending(self, pairs: Sequence[tuple[int, int]]) -> list[Action]:
        by_partition: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for pair in pairs:
            by_partition[partition_of(pair[0])].append(pair)
        found: list[Action] = []
        orphans: list[tuple[int, int]] = []
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for members in by_partition.values():
                    pipeline.mget([register_keys(self.kind, *pair)[1] for pair in members])
                replies = await pipeline.execute()
        for members, values in zip(by_partition.values(), replies, strict=True):
            for pair, value in zip(members, values, strict=True):
                if value is None:
                    orphans.append(pair)
                else:
                    found.append(parse_register(*pair, value))
        # Only a person with redis-cli deletes a `w` and leaves its index entries behind.
        await self.settle(Action(*pair, 0, ActionType.UNDO) for pair in orphans)
        return found

    async def list_all(self) -> list[Action]:
        """Return every pending action, for a backup; one that MySQL absorbs meanwhile may be left out."""
        found: list[Action] = []
        for partition in range(PARTITIONS):
            with translated_errors():
                members: Any = await self._redis.zrange(pending_key(self.kind, partition), 0, -1)
                for pairs in _in_parts([_to_pair(member) for member in members]):
                    keys = [register_keys(self.kind, *pair)[1] for pair in pairs]
                    values: Any = await self._redis.mget(keys)
                    copies = zip(pairs, values, strict=True)
                    found += [parse_register(*pair, copy) for pair, copy in copies if copy]
        return found

    async def map_absorbed(self, actions: Iterable[Action]) -> dict[Action, bool]:
        """Return for each action whether MySQL has absorbed it, or will absorb a newer one of its pair instead."""
        asked = list(actions)
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for action in asked:
                    pipeline.mget(register_keys(self.kind, *action.pair))
                replies = await pipeline.execute()
        return {
            action: _is_absorbed(action, *copies)
            for action, copies in zip(asked, replies, strict=True)
        }

    async def settle(self, absorbed: Iterable[Action]) -> int:
        """Forget pending actions that MySQL has absorbed, but not newer ones of the same pairs; return how many it forgot."""
        calls = []
        for partition, members in self._by_partition(absorbed).items():
            keys, arguments = [pending_key(self.kind, partition)], [str(READ_TTL_MS)]
            for action in members:
                keys += self._keys(action)
                arguments += [*_index_entries(action), register_value(action)]
            calls.append((keys, arguments))
        return sum(await run_script(self._redis, "settle", calls)) if calls else 0

    async def set_aside(self, action: Action, reason: str) -> bool:
        """Take one action out of the way until a person brings it back; return False where a newer one has replaced it."""
        arguments = [*_index_entries(action), register_value(action), reason]
        [moved] = await run_script(
            self._redis, "set_aside", [(self._aside_keys(action), arguments)]
        )
        return bool(moved)

    async def bring_back(self, action: Action) -> bool:
        """Make an action that was set aside pending again; return False where it is not aside any more or a newer one is pending."""
        arguments = [*_index_entries(action), str(action.version), register_value(action)]
        [moved] = await run_script(
            self._redis,
            "bring_back",
            [(self._aside_keys(action), arguments)],
            then=partial(add_changes, changes=[(Subject.VIEWER, action.user_id)]),
        )
        return bool(moved)

    async def discard(self, action: Action) -> bool:
        """Delete an action that was set aside; return False where it is not aside any more."""
        key = aside_key(self.kind, partition_of(action.user_id))
        arguments = [_index_entries(action)[0], register_value(action)]
        [deleted] = await run_script(self._redis, "discard", [([key], arguments)])
        return bool(deleted)

    async def list_aside(self) -> list[AsideAction]:
        """Return everything that was set aside, oldest first."""
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for partition in range(PARTITIONS):
                    pipeline.hgetall(aside_key(self.kind, partition))
                found = [item for reply in await pipeline.execute() for item in reply.items()]
        items = [_to_aside(member, value) for member, value in found]
        return sorted(items, key=lambda item: item.action.version)

    async def measure(self) -> Backlog:
        """Return how much is pending, since when, and how much is set aside."""
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for partition in range(PARTITIONS):
                    pending = pending_key(self.kind, partition)
                    pipeline.zcard(pending)
                    pipeline.zrange(pending, 0, 0, withscores=True)
                    pipeline.hlen(aside_key(self.kind, partition))
                pipeline.time()  # Versions are of this clock, and so is their age.
                *replies, (seconds, microseconds) = await pipeline.execute()
        now_us = seconds * 1_000_000 + microseconds
        oldest_us = min((int(first[0][1]) for first in replies[1::3] if first), default=now_us)
        return Backlog(
            pending=sum(replies[0::3]),
            oldest_age_s=max(0.0, (now_us - oldest_us) / 1_000_000),
            aside=sum(replies[2::3]),
        )

    async def read_clock_us(self) -> int:
        """Return the time in microseconds on the clock of the versions."""
        with translated_errors():
            seconds, microseconds = await self._redis.time()
        return int(seconds) * 1_000_000 + int(microseconds)

    @asynccontextmanager
    async def lock_flush(self) -> AsyncIterator[FlushLock | None]:
        """Give the flush lock, or None while another process holds it."""
        lock = FlushLock(self._redis, self.kind)
        if not await lock.acquire():
            yield None
            return
        try:
            yield lock
        finally:
            await lock.release()

    def _keys(self, action: Action) -> list[str]:
        return [
            *register_keys(self.kind, *action.pair),
            user_pending_key(self.kind, action.user_id),
        ]

    def _aside_keys(self, action: Action) -> list[str]:
        partition = partition_of(action.user_id)
        return [
            pending_key(self.kind, partition),
            register_keys(self.kind, *action.pair)[1],
            user_pending_key(self.kind, action.user_id),
            aside_key(self.kind, partition),
        ]

    @staticmethod
    def _by_partition(actions: Iterable[Action]) -> dict[int, list[Action]]:
        """Keep the order within each partition: there the last of two equal pairs is the newer."""
        by_partition: dict[int, list[Action]] = defaultdict(list)
        for action in actions:
            by_partition[partition_of(action.user_id)].append(action)
        return by_partition


def _in_parts(pairs: Sequence[tuple[int, int]]) -> Iterable[Sequence[tuple[int, int]]]:
    return (pairs[begin : begin + READ_AT_ONCE] for begin in range(0, len(pairs), READ_AT_ONCE))


def _is_absorbed(action: Action, r: bytes | None, w: bytes | None) -> bool:
    pending = parse_register(*action.pair, w) if w else None
    if pending is not None:
        return pending.version > action.version
    return r is not None and parse_register(*action.pair, r).version >= action.version


def _index_entries(action: Action) -> tuple[str, str]:
    return f"{action.user_id}:{action.target_id}", str(action.target_id)


def _to_pair(member: bytes) -> tuple[int, int]:
    user_id, target_id = member.split(b":")
    return int(user_id), int(target_id)


def _to_aside(member: bytes, value: bytes) -> AsideAction:
    reason = value.split(b"::", 2)[2].decode(errors="replace")
    return AsideAction(parse_register(*_to_pair(member), value), reason)
