"""How checks stand on each other, and what becomes of one that cannot end."""

import asyncio
from collections.abc import Sequence
from typing import cast

from pkg.errors import DependencyUnavailable
from scripts.operator.doctor.__main__ import CANNOT_LOOK, WELL, WRONG, find_status, merge_findings
from scripts.operator.doctor.examination import Check, Look, Outcome, State, examine
from scripts.operator.doctor.finding import Away, Finding, NotHere
from scripts.operator.doctor.target import Target
from tests.operator.doctor.conftest import bare_target

LONG_S = 60.0


def finding(subject: str, evidence: str = "seen") -> Finding:
    return Finding(subject, "is wrong", evidence, f"mend {subject}")


def returns(*findings: Finding) -> Look:
    async def look(target: Target) -> Sequence[Finding]:
        return findings

    return look


def raises(error: Exception) -> Look:
    async def look(target: Target) -> Sequence[Finding]:
        raise error

    return look


def check(name: str, look: Look, *needs: str, minds: tuple[str, ...] = ()) -> Check:
    return Check(name, name, look, needs=needs, minds=minds)


async def run(*checks: Check, within_s: float = LONG_S) -> dict[str, Outcome]:
    outcomes = await examine(checks, bare_target(), within_s=within_s)
    return {outcome.check.name: outcome for outcome in outcomes}


async def test_what_stands_on_something_that_is_away_is_not_looked_at_and_told_the_root():
    found = await run(
        check("mysql", raises(Away([finding("mysql")]))),
        check("schema", returns(finding("schema")), "mysql"),
        check("counters", returns(finding("counters")), "schema"),
    )

    assert found["mysql"].findings == (finding("mysql"),)
    assert {found[name].state for name in ("schema", "counters")} == {State.UNKNOWN}
    assert {found[name].reason for name in ("schema", "counters")} == {"mysql is away"}


async def test_what_stands_on_something_that_is_wrong_and_there_is_looked_at():
    found = await run(
        check("mysql", returns(finding("mysql-replica-1"))),
        check("schema", returns(finding("schema")), "mysql"),
    )

    assert found["schema"].findings == (finding("schema"),)


async def test_what_makes_no_sense_here_keeps_nobody_from_looking():
    found = await run(
        check("gateway", raises(NotHere("asked through nginx"))),
        check("readiness", returns(), "gateway"),
    )

    assert found["gateway"].reason == "asked through nginx"
    assert found["readiness"].state == State.WELL


async def test_a_check_hears_which_of_those_that_it_minds_are_away():
    heard: list[frozenset[str]] = []

    async def look(target: Target) -> Sequence[Finding]:
        heard.append(target.away)
        return ()

    await run(
        check("mysql", raises(Away([finding("mysql")]))),
        check("redis", returns()),
        check("clocks", look, minds=("mysql", "redis")),
    )

    assert heard == [frozenset({"mysql"})]


async def test_checks_run_at_the_same_time():
    met = asyncio.Barrier(2)

    async def meet(target: Target) -> Sequence[Finding]:
        await met.wait()
        return ()

    found = await run(check("one", meet), check("other", meet))

    assert {outcome.state for outcome in found.values()} == {State.WELL}


async def test_a_check_that_does_not_end_is_left_and_the_others_are_told():
    async def wait(target: Target) -> Sequence[Finding]:
        await asyncio.Event().wait()
        return ()

    found = await run(check("slow", wait), check("other", returns(finding("other"))), within_s=0.1)

    assert found["slow"].state == State.UNKNOWN
    assert found["other"].findings == (finding("other"),)


async def test_a_check_that_breaks_is_told_and_hides_no_other():
    found = await run(
        check("broken", raises(ZeroDivisionError("of mine"))),
        check("cut", raises(DependencyUnavailable(detail="redis"))),
        check("other", returns(finding("other"))),
    )

    assert found["broken"].reason == "the check broke: ZeroDivisionError('of mine')"
    assert found["cut"].reason == "redis failed meanwhile"
    assert found["other"].state == State.WRONG


async def test_the_exit_status_tells_well_wrong_and_not_seen_apart():
    well, absent = check("well", returns()), check("absent", raises(NotHere("far")))
    wrong, broken = check("wrong", returns(finding("x"))), check("broken", raises(ValueError()))

    async def status(*checks: Check) -> int:
        return find_status(list((await run(*checks)).values()))

    assert await status(well, absent) == WELL
    assert await status(well, broken) == CANNOT_LOOK
    assert await status(wrong, broken) == WRONG


def test_what_several_checks_say_of_one_thing_is_one_finding():
    anybody = cast(Check, None)
    outcomes = [
        Outcome(anybody, State.WRONG, (finding("mysql", "stopped"), finding("epmd"))),
        Outcome(anybody, State.AWAY, (finding("mysql", "refused"),)),
    ]

    assert merge_findings(outcomes) == [finding("mysql", "stopped; refused"), finding("epmd")]
