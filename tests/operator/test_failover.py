"""The source of MySQL moves to its replica while somebody writes; tests/faults kills it as well."""

import asyncio

import pytest

from tests.eventually import eventually
from tests.mysql_cluster import running_cluster, writing


@pytest.mark.servers
async def test_an_operator_moves_the_source_and_nothing_acknowledged_is_lost(tmp_path):
    with running_cluster(tmp_path, replicas=1) as cluster:
        new = cluster.address("mysql-replica-1")
        async with writing(cluster.settings, writers=2) as writers:
            await eventually(lambda: len(writers.acknowledged) > 20)
            foreseen = await asyncio.to_thread(cluster.failover, "--dry-run")
            done = await asyncio.to_thread(cluster.failover)
            before = len(writers.acknowledged)
            await eventually(lambda: len(writers.acknowledged) > before + 20)
            lost = await writers.list_lost()

        assert foreseen.stdout.splitlines()[-1] == f"would open {new} for writes"
        assert done.stdout.splitlines()[-1] == f"{new} is the source, term 1"
        assert writers.database.source_address == new
        assert (lost, writers.unseen) == (set(), [])
        assert cluster.run("mysql", "SELECT @@read_only") == [(1,)]
