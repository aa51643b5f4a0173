"""Several Redis, of which one is the master: the client writes to it, whoever it is at the moment."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from dal.redis.changes import ChangeLog, ChangeWatch, Subject
from dal.redis.client import Redis, RedisSettings, open_redis, translated_errors
from dal.redis.keys import changes_key
from pkg.errors import DependencyUnavailable
from scripts.stack.ports import find_free_port_base
from tests.bad_servers import Behaviour, bad_server_before, on_uvloop
from tests.eventually import eventually
from tests.freezing import frozen

pytestmark = pytest.mark.servers

PASSWORD = "x"


class Node:
    """A Redis in a process of its own, and an operator's connection to it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self._command = [
            *("setpriv", "--pdeathsig", "KILL", "--", "redis-server", "--port", str(port)),
            *("--dir", str(folder), "--save", "", "--requirepass", PASSWORD),
            *("--masterauth", PASSWORD, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"),
        ]
        self.operator = redis.Redis(port=port, password=PASSWORD)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def follow(self, master: "Node | None") -> None:
        self.operator.replicaof(*("127.0.0.1", str(master.port)) if master else ("NO", "ONE"))

    async def is_up(self) -> bool:
        try:
            return bool(self.operator.ping())
        except redis.exceptions.ConnectionError:
            return False


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Node]]:
    base = find_free_port_base()
    made = [Node(tmp_path, base + offset) for offset in range(2)]
    yield made
    for node in made:
        node.operator.close()
        node.kill()


@asynccontextmanager
async def opened(*addresses: str, timeout_s: float = 2.0) -> AsyncIterator[Redis]:
    settings = RedisSettings(nodes=addresses, password=SecretStr(PASSWORD), timeout_s=timeout_s)
    async with open_redis(settings) as client:
        yield client


async def arrange(master: Node, replica: Node) -> None:
    for node in (master, replica):
        await eventually(node.is_up)
    replica.follow(master)


async def count(client: Redis) -> int:
    with translated_errors():
        return int(await client.incr("n"))


async def counts(client: Redis) -> int | None:
    try:
        return await count(client)
    except DependencyUnavailable:
        return None


def value(node: Node) -> int:
    return int(node.operator.get("n") or 0)


@on_uvloop
async def test_the_master_is_found_wherever_it_stands_in_the_list(nodes):
    master, replica = nodes
    await arrange(master, replica)

    async with opened(replica.address, master.address) as client:
        assert await count(client) == 1

    assert value(master) == 1


@on_uvloop
async def test_the_replica_that_takes_over_is_written_to_and_the_old_master_when_it_leads_again(
    nodes,
):
    first, second = nodes
    await arrange(first, second)
    async with opened(first.address, second.address) as client:
        await count(client)
        await eventually(lambda: value(second) == 1)
        first.kill()
        assert await counts(client) is None
        second.follow(None)

        assert await eventually(lambda: counts(client)) == 2

        first.start()
        await arrange(second, first)
        await eventually(lambda: value(first) == 2)
        second.kill()
        first.follow(None)
        assert await eventually(lambda: counts(client)) == 3


@on_uvloop
async def test_memory_is_void_when_a_replica_took_over_that_may_lack_what_was_announced(nodes):
    first, second = nodes
    await arrange(first, second)
    forgotten: list[int] = []
    times_all: list[None] = []
    async with opened(first.address, second.address) as client:
        watch, log = ChangeWatch(client), ChangeLog(client)
        watch.tell(Subject.USER, forgotten.append, forget_all=lambda: times_all.append(None))
        await log.announce([(Subject.USER, 1)])
        await watch.look()
        await eventually(lambda: second.operator.xlen(changes_key()) == 1)
        second.follow(None)
        await log.announce([(Subject.USER, 2)])
        first.kill()
        times_all.clear()

        await eventually(lambda: counts(client))
        await watch.look()
        await watch.look()

    assert forgotten == []
    assert len(times_all) == 1


@pytest.mark.parametrize("how", ["command", "pipeline", "transaction", "script"])
@on_uvloop
async def test_a_master_that_became_a_replica_is_left_without_an_error(nodes, how):
    first, second = nodes
    await arrange(first, second)

    async def write(client: Redis) -> None:
        async with client.pipeline(transaction=how == "transaction") as pipeline:
            if how == "script":
                pipeline.eval("return redis.call('INCR', KEYS[1])", 1, "n")
            else:
                pipeline.incr("n")
            await (client.incr("n") if how == "command" else pipeline.execute())

    async with opened(first.address, second.address) as client:
        await write(client)
        await eventually(lambda: value(second) == 1)
        second.follow(None)
        first.follow(second)

        await write(client)

    assert value(second) == 2


@on_uvloop
async def test_nodes_that_hang_before_the_master_leave_time_for_it(nodes):
    master, replica = nodes
    await arrange(master, replica)
    with bad_server_before(1) as silent, frozen(replica.process.pid):
        silent.turn(Behaviour.SILENT)
        addresses = (f"127.0.0.1:{silent.port}", replica.address, master.address)
        async with opened(*addresses) as client:
            assert await count(client) == 1
            # Those that hang are not asked again by each further connection.
            async with asyncio.timeout(1):
                assert await asyncio.gather(*(count(client) for _ in range(8)))


@on_uvloop
async def test_without_a_master_every_call_is_an_outage_in_time(nodes):
    first, second = nodes
    await arrange(first, second)
    async with opened(first.address, second.address) as client:
        first.kill()

        with pytest.raises(DependencyUnavailable):
            await count(client)
