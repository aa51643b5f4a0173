"""Likes and follows on their way: they become rows within moments, and none was refused."""

from collections.abc import Sequence

from dal.redis.client import open_redis
from dal.redis.pending import Backlog, PendingActions
from dal.registers.model import Kind
from scripts.operator.doctor.examination import Look
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.target import Target

# A flush comes every second.
OLDEST_S = 30.0


def look_at_pending(kind: Kind) -> Look:
    """Return what sees that MySQL absorbs the actions of a kind."""

    async def look(target: Target) -> Sequence[Finding]:
        """What was liked or followed is a row within half a minute."""
        backlog = await _measure(target, kind)
        if backlog.oldest_age_s <= OLDEST_S:
            return []
        evidence = f"{backlog.pending} are pending, the oldest for {backlog.oldest_age_s:.0f} s"
        command = target.place.look_into(kind, target.settings.redis_actions.nodes[0])
        return [Finding(f"pending actions of {kind}", "do not become rows", evidence, command)]

    return look


async def look_at_aside(target: Target) -> Sequence[Finding]:
    """MySQL refused no action."""
    return [
        Finding(
            f"actions of {kind}",
            "were refused by MySQL and set aside",
            str(backlog.aside),
            target.place.command("replay", kind),
        )
        for kind in Kind
        if (backlog := await _measure(target, kind)).aside
    ]


async def _measure(target: Target, kind: Kind) -> Backlog:
    async with open_redis(target.settings.redis_actions, patient=False) as redis:
        return await PendingActions(redis, kind).measure()
