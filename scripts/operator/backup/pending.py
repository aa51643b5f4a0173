"""Likes and follows that MySQL has not absorbed: pending ones, and those that were set aside with their reason."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import orjson

from dal.redis.client import Redis
from dal.redis.clock import VersionClock
from dal.redis.pending import PendingActions
from dal.registers.model import Action, ActionType, Kind
from scripts.operator.backup.manifest import BackupError

NAME = "pending.jsonl"
Found = tuple[Kind, Action, str | None]


async def write_pending(path: Path, redis: Redis) -> int:
    """Write what waits in Redis; return the greatest version of it, 0 where nothing waits."""
    found = [item async for item in _list_all(redis)]
    with path.open("wb") as file:
        for kind, action, reason in found:
            line = [kind, action.user_id, action.target_id, action.version, action.type, reason]
            file.write(orjson.dumps(line) + b"\n")
    return max((action.version for _, action, _ in found), default=0)


async def require_no_others(path: Path, redis: Redis) -> None:
    """Check that nothing waits in Redis but what this backup holds, which a restore that broke off may have put there.

    Raises:
        BackupError: something else does.
    """
    ours = {(kind, action) for kind, action, _ in _read(path)}
    async for kind, action, _ in _list_all(redis):
        if (kind, action) not in ours:
            raise BackupError(
                f"redis_actions is not empty: a {kind} of user {action.user_id} waits in it; "
                "restore goes into an empty system alone"
            )


async def load_pending(path: Path, redis: Redis, *, newest_action: int) -> int:
    """Make everything pending or set aside that was, and let new versions be greater; return how many."""
    await VersionClock(redis).advance_to(newest_action)
    items = list(_read(path))
    for kind, action, reason in items:
        pending = PendingActions(redis, kind)
        await pending.apply_actions([action])
        if reason is not None:
            await pending.set_aside(action, reason)
    return len(items)


async def _list_all(redis: Redis) -> AsyncIterator[Found]:
    for kind in Kind:
        pending = PendingActions(redis, kind)
        for action in await pending.list_all():
            yield kind, action, None
        for item in await pending.list_aside():
            yield kind, item.action, item.reason


def _read(path: Path) -> Iterable[Found]:
    for line in path.read_bytes().splitlines():
        kind, user_id, target_id, version, action_type, reason = orjson.loads(line)
        yield Kind(kind), Action(user_id, target_id, version, ActionType(action_type)), reason
