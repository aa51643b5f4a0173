"""The two Redis: both answer, and what must not be lost is on disk and has room."""

from collections.abc import Sequence

from dal.redis.client import RedisSettings, open_redis, translated_errors
from scripts.operator.doctor.answers import ask_all
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.target import Target

ACTIONS, CACHE = "redis-actions", "redis-cache"
MOST_FILLED = 0.9


async def look_at_actions(target: Target) -> Sequence[Finding]:
    """The Redis for actions answers."""
    return await _look_at_nodes(target, ACTIONS, target.settings.redis_actions)


async def look_at_cache(target: Target) -> Sequence[Finding]:
    """The Redis for failed logins answers."""
    return await _look_at_nodes(target, CACHE, target.settings.redis_cache)


async def look_at_safety(target: Target) -> Sequence[Finding]:
    """The Redis for actions writes its log and has memory left; it drops nothing, so that it refuses writes when it is full."""
    async with open_redis(target.settings.redis_actions, patient=False) as redis:
        with translated_errors():
            memory, disk = await redis.info("memory"), await redis.info("persistence")
    address = target.settings.redis_actions.nodes[0]
    name = target.place.name_of(ACTIONS, address)
    command = target.place.look_into(name, address)
    findings = []
    used, most = int(memory["used_memory"]), int(memory["maxmemory"])
    if most and used > most * MOST_FILLED:
        evidence = f"{used // 1024**2} of {most // 1024**2} MiB (maxmemory) are used"
        findings.append(Finding(name, "is nearly full", evidence, command))
    if not int(disk["aof_enabled"]):
        findings.append(Finding(name, "loses its data when it ends", "appendonly is off", command))
    elif disk["aof_last_write_status"] != "ok":
        evidence = f"aof_last_write_status is {disk['aof_last_write_status']}"
        findings.append(Finding(name, "cannot write its log", evidence, command))
    return findings


async def _look_at_nodes(target: Target, role: str, settings: RedisSettings) -> list[Finding]:
    async def ask(address: str) -> None:
        async with open_redis(settings.model_copy(update={"nodes": (address,)}), patient=False):
            pass

    return await ask_all(target, role, settings.nodes, ask)
