"""Which server is taken for the source and which may be read, by what each said of itself; none is asked."""

from collections.abc import AsyncIterator

import pytest

from dal.db.connections import MySQLSettings
from dal.db.nodes import Node, Nodes, NodeState
from pkg.errors import DependencyUnavailable

A, B, C = "10.0.0.1:3306", "10.0.0.2:3306", "10.0.0.3:3306"


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    host, _, port = A.rpartition(":")
    settings = MySQLSettings.model_validate(
        {
            "host": host,
            "port": port,
            "user": "dousheng",
            "password": "secret",
            "database": "db",
            "replicas": (A, B, C),
            "pool_connections": 1,
            "connect_timeout_s": 1,
            "statement_timeout_s": 1,
            "max_replica_lag_s": 2,
        }
    )
    made = Nodes(settings)
    yield made
    await made.close()


def source(term: int) -> NodeState:
    return NodeState(is_read_only=False, follows=False, lag_s=None, term=term)


def replica(term: int, *, lag_s: int | None = 0, is_read_only: bool = True) -> NodeState:
    return NodeState(is_read_only=is_read_only, follows=True, lag_s=lag_s, term=term)


async def look(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, **said: NodeState | None
) -> tuple[str | None, list[str]]:
    """Return the address of the source, None where it has been replaced, and of those that may be read, after they said this of themselves."""
    states = {A: said.get("a"), B: said.get("b"), C: said.get("c")}

    async def answer(node: Node) -> None:
        node.state = states[node.address]

    monkeypatch.setattr(Node, "look", answer)
    await nodes.check()
    try:
        address = nodes.source.address
    except DependencyUnavailable:
        address = None
    return address, [node.address for node in nodes.healthy_replicas]


async def test_a_server_is_one_node_however_often_it_is_named(nodes, monkeypatch):
    assert await look(nodes, monkeypatch, a=source(0), b=replica(0), c=replica(0)) == (A, [B, C])


async def test_the_source_is_followed_to_the_server_of_a_newer_term(nodes, monkeypatch):
    await look(nodes, monkeypatch, a=source(1), b=replica(1), c=replica(1))

    assert await look(nodes, monkeypatch, b=source(2), c=replica(2)) == (B, [C])


async def test_a_source_that_comes_back_in_an_older_term_is_not_used(nodes, monkeypatch, logged):
    await look(nodes, monkeypatch, b=source(2), c=replica(2))

    for _ in range(3):
        assert await look(nodes, monkeypatch, a=source(1), b=source(2)) == (B, [])

    told = [line for line in logged if "ERROR" in line]
    assert len(told) == 1
    assert A in told[0]


async def test_a_replaced_source_stays_so_when_it_is_the_only_one_that_answers(nodes, monkeypatch):
    await look(nodes, monkeypatch, b=source(2))

    assert await look(nodes, monkeypatch, a=source(1)) == (B, [])


async def test_a_replica_tells_of_a_term_whose_source_does_not_answer(nodes, monkeypatch):
    assert await look(nodes, monkeypatch, a=source(1), c=replica(2)) == (None, [C])
    assert await look(nodes, monkeypatch, a=source(1), b=source(2)) == (B, [])


async def test_of_two_sources_of_one_term_the_known_one_stays(nodes, monkeypatch, logged):
    assert await look(nodes, monkeypatch, a=source(1), b=source(1)) == (A, [])
    assert sum("ERROR" in line for line in logged) == 2


async def test_a_writable_replica_is_no_source(nodes, monkeypatch):
    await look(nodes, monkeypatch, a=source(1))

    assert await look(nodes, monkeypatch, b=replica(1, is_read_only=False)) == (A, [B])


@pytest.mark.parametrize(
    "said", [replica(1), replica(2, lag_s=3), replica(2, lag_s=None), None], ids=repr
)
async def test_who_is_late_stands_still_or_knows_an_older_term_is_not_read(
    nodes, monkeypatch, said
):
    assert await look(nodes, monkeypatch, a=source(2), b=said, c=replica(2)) == (A, [C])
