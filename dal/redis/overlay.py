"""The overlay: what Redis knows of likes and follows is laid over what the rows say, and in each pair the greater version shows.

While Redis is down there is no overlay, and reads go on with the rows alone: what is missing shows as soon as it is flushed.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from redis.asyncio import Redis

from dal.redis.client import translated_errors
from dal.redis.keys import parse_register, register_keys, user_pending_key
from dal.registers.model import Action, Kind, newest_by_target
from pkg.breaker import CircuitBreaker

# A read is not worth waiting longer for it.
TIMEOUT_S = 0.5


class Overlay:
    """Reads the registers of users in the Redis for actions; finds nothing while that is down."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._breaker = CircuitBreaker("reading without the newest actions", timeout_s=TIMEOUT_S)

    async def map_registers(
        self, user_id: int, targets: Mapping[Kind, Sequence[int]]
    ) -> dict[Kind, dict[int, Action]]:
        """Return what a user last did to some targets, by kind and target, in one round trip."""
        wanted = {kind: target_ids for kind, target_ids in targets.items() if target_ids}
        return await self._breaker.ask(lambda: self._map_registers(user_id, wanted), otherwise={})

    async def list_pending(self, kind: Kind, user_id: int) -> list[Action]:
        """Return what a user did that MySQL has not absorbed yet, in no order."""
        return await self._breaker.ask(lambda: self._list_pending(kind, user_id), otherwise=[])

    async def find_pending(
        self, user_ids: Sequence[int]
    ) -> dict[tuple[Kind, int], list[Action]] | None:
        """Return what some users did that MySQL has not absorbed yet, in one round trip; None while Redis is down."""
        return await self._breaker.ask(lambda: self._find_pending(user_ids), otherwise=None)

    async def _find_pending(
        self, user_ids: Sequence[int]
    ) -> dict[tuple[Kind, int], list[Action]] | None:
        wanted = [(kind, user_id) for kind in Kind for user_id in user_ids]
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for kind, user_id in wanted:
                    pipeline.hgetall(user_pending_key(kind, user_id))
                replies = await pipeline.execute()
        return {
            (kind, user_id): _to_actions(user_id, reply)
            for (kind, user_id), reply in zip(wanted, replies, strict=True)
            if reply
        }

    async def _map_registers(
        self, user_id: int, targets: Mapping[Kind, Sequence[int]]
    ) -> dict[Kind, dict[int, Action]]:
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for kind, target_ids in targets.items():
                    pipeline.mget(
                        [
                            key
                            for target in target_ids
                            for key in register_keys(kind, user_id, target)
                        ]
                    )
                replies = await pipeline.execute()
        registers = {}
        for (kind, target_ids), values in zip(targets.items(), replies, strict=True):
            owners = [target for target in target_ids for _copy in ("r", "w")]
            copies = zip(owners, values, strict=True)
            known = [parse_register(user_id, target, value) for target, value in copies if value]
            registers[kind] = newest_by_target(known)
        return registers

    async def _list_pending(self, kind: Kind, user_id: int) -> list[Action]:
        with translated_errors():
            reply = await self._redis.hgetall(user_pending_key(kind, user_id))
        return _to_actions(user_id, cast("dict[bytes, bytes]", reply))


def _to_actions(user_id: int, pending: Mapping[bytes, bytes]) -> list[Action]:
    return [parse_register(user_id, int(target), value) for target, value in pending.items()]
