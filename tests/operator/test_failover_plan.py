"""Which server becomes the source, and what is refused because something acknowledged could be lost; no server is asked."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scripts.operator.cluster import Cluster, Refused
from scripts.operator.failover import make_plan

A, B, C = "10.0.0.1:3306", "10.0.0.2:3306", "10.0.0.3:3306"


@dataclass
class Told:
    """What a server would say; transactions are numbered."""

    address: str
    source: str | None = None
    is_read_only: bool = True
    term: int = 1
    position: str = "0-1-10"
    received: str = ""
    is_mariadb: bool = True

    def read_term(self) -> int:
        return self.term

    def has_all(self, position: str, of: str) -> bool:
        return int(position.split("-")[2]) >= int(of.split("-")[2])


def cluster(*servers: Told, missing: tuple[str, ...] = ()) -> Cluster:
    return Cluster(cast(Any, SimpleNamespace()), cast(Any, list(servers)), list(missing))


def choose(of: Cluster, *, to: str | None = None, without: tuple[str, ...] = ()) -> str:
    return make_plan(of, to=to, without=without).new.address


def source(address: str = A, *, term: int = 1) -> Told:
    return Told(address, is_read_only=False, term=term)


def test_a_source_that_answers_is_replaced_by_the_replica_with_most():
    plan = make_plan(
        cluster(source(), Told(B, A, position="0-1-9"), Told(C, A)), to=None, without=()
    )

    assert plan.old is not None
    assert (plan.old.address, plan.new.address) == (A, C)
    assert [server.address for server in plan.followers] == [A, B]


def test_an_operator_may_choose_another_replica():
    assert choose(cluster(source(), Told(B, A), Told(C, A)), to=B) == B


def test_a_source_of_an_older_term_is_none():
    newest = source(B, term=2)

    assert cluster(source(A, term=1), newest).source is cast(Any, newest)


def test_of_a_dead_source_the_replica_that_received_most_takes_the_place():
    servers = (Told(B, A, position="0-1-9", received="0-1-12"), Told(C, A, received="0-1-11"))

    assert choose(cluster(*servers, missing=(A,))) == B
    with pytest.raises(Refused, match="not received everything"):
        choose(cluster(*servers, missing=(A,)), to=C)


def test_an_interrupted_move_goes_on_with_all_servers_closed():
    assert choose(cluster(Told(A, position="0-1-11"), Told(B, A), Told(C, A))) == A


@pytest.mark.parametrize("followed", [A, B])
def test_an_interrupted_replacement_of_a_dead_source_goes_on(followed):
    servers = (Told(B, None, position="0-1-12"), Told(C, followed, received="0-1-12"))

    assert choose(cluster(*servers, missing=(A,))) == B


def test_a_replaced_source_that_has_not_rejoined_takes_part_in_nothing():
    left = Told(A, None, is_read_only=False, term=0, position="0-1-99")

    closed = make_plan(cluster(left, Told(B, None), Told(C, B)), to=None, without=())
    alive = make_plan(cluster(left, source(B), Told(C, B)), to=None, without=())

    assert (closed.new.address, [server.address for server in closed.followers]) == (B, [C])
    assert (alive.new.address, [server.address for server in alive.followers]) == (C, [B])


@pytest.mark.parametrize(
    ("servers", "missing", "without", "reason"),
    [
        ((Told(C, A),), (A, B), (), "may hold what nobody else has"),
        ((Told(B, None, position="0-1-9"), Told(C, A)), (A,), (), "follows nobody and not"),
        ((Told(B, None, term=0), Told(C, A)), (A,), (), "follows nobody and not"),
        ((Told(B, None),), (A,), (), "or the move from it was interrupted"),
        ((Told(B, C), Told(C, A)), (A,), (), "may lack what was acknowledged"),
        ((source(), Told(B, None)), (), (), "no other server"),
        ((source(),), (B,), (), "no other server"),
    ],
)
def test_what_could_lose_something_acknowledged_is_refused(servers, missing, without, reason):
    with pytest.raises(Refused, match=reason):
        choose(cluster(*servers, missing=missing), without=without)


def test_an_operator_may_vouch_for_a_server_that_is_missing():
    assert choose(cluster(Told(C, A), missing=(A, B)), without=(B,)) == C


def test_the_source_itself_and_a_stranger_are_refused():
    of = cluster(source(), Told(B, A), Told(C, None))

    with pytest.raises(Refused, match="is the source already"):
        choose(of, to=A)
    with pytest.raises(Refused, match="let it --rejoin first"):
        choose(of, to=C)
    with pytest.raises(Refused, match=f"these answer: {A}, {B}, {C}"):
        choose(of, to="10.0.0.4:3306")
