"""Shows which likes or follows went nowhere, and replays or discards them.

Dead letters are messages that are no actions; set aside are actions that MySQL refused. Replaying is always safe: an action that a newer
one has overtaken changes nothing. Exit status: 0 done, 2 a server is down.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dal.redis.client import RedisSettings, open_redis
from dal.redis.pending import PendingActions
from dal.registers.model import Kind
from pkg.mq.connection import RabbitMQSettings
from pkg.mq.consumer import REASON_HEADER, Delivery
from pkg.mq.dead_letters import open_dead_letters
from pkg.mq.publisher import Publisher
from pkg.settings import ProcessSettings
from scripts.operator.console import run_to_status
from scripts.operator.settings import load_settings

MOST_SHOWN = 100_000
CONNECT_WITHIN_S = 10.0


class ReplaySettings(ProcessSettings):
    redis_actions: RedisSettings
    rabbitmq: RabbitMQSettings


async def replay(settings: ReplaySettings, kind: Kind, *, run: bool, discard: bool) -> int:
    """Show everything, replay or discard it if told to, and return the exit status."""
    async with open_redis(settings.redis_actions, patient=False) as redis:
        await replay_aside(PendingActions(redis, kind), run=run, discard=discard)
    await replay_dead_letters(settings.rabbitmq, kind, run=run, discard=discard)
    return 0


async def replay_aside(pending: PendingActions, *, run: bool, discard: bool) -> None:
    """Work through the actions that MySQL refused."""
    items = await pending.list_aside()
    for item in items:
        action = item.action
        print(
            f"aside        user {action.user_id}  target {action.target_id}  {action.type.name}"
            f"  version {action.version}  because: {item.reason}"
        )
        if run:
            await pending.bring_back(action)
        elif discard:
            await pending.discard(action)
    print(f"set aside: {len(items)}{_done(run=run, discard=discard)}")


async def replay_dead_letters(
    settings: RabbitMQSettings, kind: Kind, *, run: bool, discard: bool
) -> None:
    """Work through the messages that are no actions."""
    async with open_dead_letters(settings, kind.value) as dead, publishing(settings, kind) as queue:
        letters = await dead.read(limit=MOST_SHOWN)
        for letter in letters:
            print(f"dead letter  {letter.body!r}  because: {letter.headers.get(REASON_HEADER)}")
            if run:
                await queue.publish(kind.value, letter.body, _without_reason(letter))
            if run or discard:
                await dead.discard(letter)
    print(f"dead letters: {len(letters)}{_done(run=run, discard=discard)}")


@asynccontextmanager
async def publishing(settings: RabbitMQSettings, kind: Kind) -> AsyncIterator[Publisher]:
    """Give a publisher that is connected."""
    publisher = Publisher(settings, [kind.value], name="replay")
    stop = asyncio.Event()
    running = asyncio.create_task(publisher.run(stop))
    try:
        await publisher.wait_connected(timeout_s=CONNECT_WITHIN_S)
        yield publisher
    finally:
        stop.set()
        await running


def _without_reason(letter: Delivery) -> dict[str, str]:
    return {key: value for key, value in letter.headers.items() if key != REASON_HEADER}


def _done(*, run: bool, discard: bool) -> str:
    if run:
        return ", replayed"
    return ", discarded" if discard else ""


def main() -> int:
    """Entry of scripts/replay."""
    parser = argparse.ArgumentParser(prog="scripts/replay", description=__doc__)
    parser.add_argument("kind", choices=[kind.value for kind in Kind])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--run", action="store_true", help="replay everything that is shown")
    what.add_argument("--discard", action="store_true", help="delete everything that is shown")
    options = parser.parse_args()
    settings = load_settings(ReplaySettings)
    work = replay(settings, Kind(options.kind), run=options.run, discard=options.discard)
    return run_to_status(work, failing="cannot go on")


if __name__ == "__main__":
    sys.exit(main())
