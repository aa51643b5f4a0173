"""The source of MySQL moves while everybody writes: by an operator's will, after it was killed, and back. Nothing acknowledged is lost."""

import asyncio
from collections.abc import Iterator

import pymysql
import pytest

from tests.eventually import eventually
from tests.freezing import frozen
from tests.mysql_cluster import NAMES, MySQLCluster, Writers, running_cluster, writing

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLCluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), replicas=2) as running:
        yield running


async def operate(cluster: MySQLCluster, *arguments: str, status: int = 0) -> str:
    """Run scripts/failover, which must end with this status; return what it says."""
    done = await asyncio.to_thread(cluster.failover, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


async def goes_on(writers: Writers, more: int = 50) -> None:
    """Wait until so many more writes were acknowledged."""
    goal = len(writers.acknowledged) + more
    await eventually(lambda: len(writers.acknowledged) >= goal)


def try_to_write(cluster: MySQLCluster, name: str) -> None:
    """Write to one server as a client that does not know better."""
    settings = cluster.settings
    connection = pymysql.connect(
        host="127.0.0.1",
        port=cluster.stack.site.ports.of(name),
        user=settings.user,
        password=settings.password.get_secret_value(),
        database=settings.database,
        read_timeout=2,
        autocommit=True,
    )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE publication_clock SET last_ms = last_ms + 1")


async def is_whole(cluster: MySQLCluster, source: str, replicas: list[str]) -> bool:
    """Whether this is the source and the others follow it."""
    dry = await asyncio.to_thread(cluster.failover, "--rejoin", "all", "--dry-run")
    follow = [
        f"{cluster.address(name)} follows {cluster.address(source)} already" for name in replicas
    ]
    return sorted(dry.stdout.splitlines()) == sorted(follow)


async def test_the_source_moves_while_everybody_writes_and_moves_back(cluster):
    async with writing(cluster.settings, writers=6) as writers:
        for name in ("mysql-replica-2", "mysql"):
            await goes_on(writers)
            await operate(cluster, "--to", cluster.address(name))
            await goes_on(writers)
            assert writers.database.source_address == cluster.address(name)
        assert await writers.list_lost() == set()

    assert writers.unseen == []
    assert await is_whole(cluster, "mysql", ["mysql-replica-1", "mysql-replica-2"])


async def test_a_source_that_is_killed_is_replaced_and_comes_back_as_a_replica(cluster):
    async with writing(cluster.settings, writers=6) as writers:
        await goes_on(writers)
        with cluster.lost("mysql"):
            await operate(cluster)
            await goes_on(writers)
            new = writers.database.source_address
            assert new != cluster.address("mysql")

        # It takes writes, as it did, and nobody confirms or uses them.
        assert cluster.run("mysql", "SELECT @@read_only") == [(0,)]
        with pytest.raises(pymysql.err.OperationalError, match="timed out"):
            await asyncio.to_thread(try_to_write, cluster, "mysql")
        await goes_on(writers)
        assert writers.database.source_address == new

        told = await operate(cluster, "--rejoin", cluster.address("mysql"), status=1)
        assert "--rebuild" in told
        await operate(cluster, "--rejoin", cluster.address("mysql"), "--rebuild")
        await goes_on(writers)
        assert await writers.list_lost() == set()

    assert writers.unseen == []
    await operate(cluster, "--to", cluster.address("mysql"))
    assert await is_whole(cluster, "mysql", ["mysql-replica-1", "mysql-replica-2"])


async def test_a_move_that_is_interrupted_goes_on_when_it_is_run_again(cluster):
    async with writing(cluster.settings, writers=4) as writers:
        for told in ("is closed", "follows"):
            await goes_on(writers)
            await asyncio.to_thread(cluster.interrupt_failover, told)
            await operate(cluster)
        await goes_on(writers)
        source = next(
            name for name in NAMES if cluster.address(name) == writers.database.source_address
        )
        with cluster.lost(source):
            for told in ("no replica acknowledges", "follows"):
                await asyncio.to_thread(cluster.interrupt_failover, told)
            await operate(cluster)
            await goes_on(writers)
        assert await writers.list_lost() == set()

    assert writers.unseen == []
    await operate(cluster, "--rejoin", cluster.address(source), "--rebuild")
    done = await asyncio.to_thread(cluster.failover, "--to", cluster.address("mysql"))
    assert done.returncode == 0 or "is the source already" in done.stderr


async def test_a_source_that_is_frozen_is_replaced_and_is_no_source_when_it_thaws(cluster):
    async with writing(cluster.settings, writers=6) as writers:
        await goes_on(writers)
        with frozen(cluster.stack.pid("mysql")):
            await operate(cluster)
            await goes_on(writers)
            new = writers.database.source_address
        await goes_on(writers)
        assert writers.database.source_address == new != cluster.address("mysql")
        assert await writers.list_lost() == set()

    assert writers.unseen == []
    await operate(cluster, "--rejoin", cluster.address("mysql"), "--rebuild")
    await operate(cluster, "--to", cluster.address("mysql"))


async def test_no_commit_is_acknowledged_while_no_replica_has_it(cluster):
    async with writing(cluster.settings, writers=2) as writers:
        await goes_on(writers)
        with cluster.lost("mysql-replica-1"), cluster.lost("mysql-replica-2"):
            await eventually(lambda: len(writers.unknown) >= 4)
            before = len(writers.acknowledged)
            await eventually(lambda: len(writers.unknown) >= 8)
            assert len(writers.acknowledged) == before

            told = await operate(cluster, status=1)
            assert "no other server" in told
        await goes_on(writers)
        assert await writers.list_lost() == set()


async def test_two_servers_that_are_away_may_hold_what_was_acknowledged(cluster):
    with cluster.lost("mysql"), cluster.lost("mysql-replica-1"):
        told = await operate(cluster, status=1)

        assert "--without" in told
        assert cluster.run("mysql-replica-2", "SELECT @@read_only") == [(1,)]
