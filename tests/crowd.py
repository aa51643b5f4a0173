"""People who like and follow through the real processes, and a check of all that they were answered."""

import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from dal.db.counters import Difference, list_differences
from dal.registers.model import ActionType, Kind
from pkg.mq.connection import BrokerConnection
from pkg.token import TokenIssuer
from protos import favorite_pb2_grpc, relation_pb2_grpc
from protos.favorite_pb2 import FavoriteActionRequest
from protos.relation_pb2 import RelationActionRequest
from scripts.stack import Stack
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.register_stores import RegisterStores

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION


CALL_TIMEOUT_S = 2.0  # The gateway's deadline.


PATIENCE_S = 90.0


OUTCOME_UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


QUICK = [("grpc.max_reconnect_backoff_ms", 300), ("grpc.initial_reconnect_backoff_ms", 100)]


Pair = tuple[Kind, int, int]


@dataclass
class Crowd:
    """People who act through the real processes, and what they were answered."""

    stack: Stack
    settings: AllSettings
    stores: RegisterStores
    channels: dict[Kind, grpc.aio.Channel]
    issuer: TokenIssuer
    # Which states a pair may end in: what was answered with success last, and what failed since.
    possible: dict[Pair, set[bool]] = field(default_factory=lambda: defaultdict(lambda: {False}))
    # Rows that other tests made up without their counters are no fault of the write path.
    made_up: set[Difference] = field(default_factory=set)
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0

    async def act(self, pair: Pair, action: ActionType) -> bool:
        """Make one call; return whether it was answered with success."""
        began = time.monotonic()
        try:
            await self._call(pair, action)
        except grpc.aio.AioRpcError as exc:
            if exc.code() not in OUTCOME_UNKNOWN:
                raise
            self.possible[pair].add(action is DO)
            self.refused += 1
            return False
        finally:
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self.possible[pair] = {action is DO}
        self.accepted += 1
        return True

    async def _call(self, pair: Pair, action: ActionType) -> None:
        kind, user_id, target_id = pair
        token = self.issuer.issue(user_id)
        if kind is FAVORITE:
            await favorite_pb2_grpc.FavoriteServiceStub(self.channels[kind]).FavoriteAction(
                FavoriteActionRequest(token=token, video_id=target_id, action_type=action),
                timeout=CALL_TIMEOUT_S,
            )
        else:
            await relation_pb2_grpc.RelationServiceStub(self.channels[kind]).RelationAction(
                RelationActionRequest(token=token, to_user_id=target_id, action_type=action),
                timeout=CALL_TIMEOUT_S,
            )

    async def act_until_accepted(self, pair: Pair, action: ActionType) -> None:
        await eventually(lambda: self.act(pair, action), within_s=PATIENCE_S)

    async def accepts_again(self) -> None:
        """Wait until the people who act all the time are answered with success again."""
        before = self.accepted
        await eventually(lambda: self.accepted > before + 50)

    async def count_waiting(self, kind: Kind) -> int:
        """Return how many messages of a kind no consumer has acknowledged or holds."""
        connection = await BrokerConnection.open(self.settings.rabbitmq, name="test")
        try:
            channel = await connection.open_channel()
            declare = channel.raw.queue_declare
            reply = await channel.call(declare, kind.value, passive=True)
            return int(reply.method.message_count)
        finally:
            await connection.close()

    def count_unread(self) -> int:
        """Return how many bytes the broker has received and not read: what was sent to it while it is frozen."""
        port = f":{self.stack.site.ports.of('rabbitmq'):04X}"
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(int(row[4].split(":")[1], 16) for row in rows if row[1].endswith(port))

    async def settled(self) -> None:
        """Wait until nothing is on its way, then check every pair and every counter."""
        await eventually(self._is_right, within_s=PATIENCE_S)

    async def _is_right(self) -> bool:
        for kind in Kind:
            if (await self.stores.pending(kind).measure()).pending:
                return False
            users = {user for pair_kind, user, _ in self.possible if pair_kind is kind}
            rows = {
                (user, target): active
                for user, target, active in await self.stores.rows(kind, users or {0})
            }
            for (pair_kind, user, target), states in self.possible.items():
                if pair_kind is kind and rows.get((user, target), False) not in states:
                    return False
        return set(await list_differences(self.stores.database)) <= self.made_up

    def kill(self, name: str) -> None:
        """SIGKILL a process; its supervisor starts it again."""
        os.kill(self.stack.pid(name), signal.SIGKILL)
