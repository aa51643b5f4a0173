"""Nodes of a cluster are tried in turn within one deadline, the one that worked last first."""

import asyncio

import pytest

from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.nodes import Node, NodeTurns, parse_node

NODES = ["a:1", "b:2", "c:3"]


class Cluster:
    """Nodes that are up, down, refuse or hang; remembers whom it was asked for."""

    def __init__(self, **behaviour: str) -> None:
        self.behaviour = behaviour
        self.asked: list[str] = []

    async def __call__(self, node: Node) -> str:
        self.asked.append(node.host)
        match self.behaviour.get(node.host, "up"):
            case "down":
                raise DependencyUnavailable(detail=node.host)
            case "refuses":
                raise DependencyRefused(detail=node.host)
            case "hangs":
                await asyncio.sleep(60)
        return node.host


@pytest.mark.parametrize(
    ("address", "node"),
    [
        ("redis:6379", ("redis", 6379)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("unix:/run/etcd:2379", ("unix:/run/etcd", 2379)),
    ],
)
def test_an_address_is_a_host_and_a_port(address, node):
    assert parse_node(address) == node


@pytest.mark.parametrize(
    "address",
    ["", "redis", ":6379", "redis:", "redis:0", "redis:65536", "redis:x", "::1:6379", "[]:1"],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match=r"host:port|no port"):
        parse_node(address)


async def test_a_node_that_is_down_is_followed_by_the_next():
    cluster = Cluster(a="down")

    assert await NodeTurns(NODES).connect(cluster, timeout_s=5) == "b"
    assert cluster.asked == ["a", "b"]


async def test_the_node_that_worked_last_comes_first_and_then_the_others():
    cluster, turns = Cluster(a="down"), NodeTurns(NODES)
    await turns.connect(cluster, timeout_s=5)
    cluster.behaviour = {"b": "down", "c": "down"}
    cluster.asked.clear()

    assert await turns.connect(cluster, timeout_s=5) == "a"
    assert cluster.asked == ["b", "c", "a"]


async def test_a_node_that_hangs_takes_its_share_of_the_deadline_alone():
    cluster = Cluster(a="hangs", b="hangs")

    assert await NodeTurns(NODES).connect(cluster, timeout_s=0.3) == "c"


async def test_of_several_failures_the_one_that_an_operator_must_mend_is_told():
    with pytest.raises(DependencyRefused):
        await NodeTurns(NODES).connect(Cluster(a="down", b="refuses", c="down"), timeout_s=5)
    with pytest.raises(DependencyUnavailable):
        await NodeTurns(NODES).connect(Cluster(a="down", b="down", c="down"), timeout_s=5)


async def test_what_is_no_failure_of_a_server_is_raised_at_once():
    async def attempt(_node: Node) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        await NodeTurns(NODES).connect(attempt, timeout_s=5)
