"""Looks at everything at the same time, at each thing as soon as what it stands on is known to be there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pkg.errors import DeadlineExceeded, DependencyUnavailable
from scripts.operator.doctor.finding import Away, Finding, NotHere
from scripts.operator.doctor.target import Target

Look = Callable[[Target], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True)
class Check:
    """One thing that is looked at."""

    name: str
    looks_at: str
    """For a person: what has to be so."""
    look: Look
    """Returns what is wrong, or raises Away, NotHere, or what a server that fails meanwhile raises."""
    needs: tuple[str, ...] = ()
    """The checks without whose subject this one could only tell their fault again."""
    minds: tuple[str, ...] = ()
    """The checks that are waited for, so that this one leaves out what they found away."""


class State(StrEnum):
    """How a check ended."""

    WELL = "well"
    WRONG = "wrong"
    AWAY = "away"
    UNKNOWN = "unknown"
    NOT_HERE = "not here"


@dataclass(frozen=True)
class Outcome:
    """What a check came to; `reason` is why nobody looked."""

    check: Check
    state: State
    findings: tuple[Finding, ...] = ()
    reason: str = ""


async def examine(checks: Sequence[Check], target: Target, *, within_s: float) -> list[Outcome]:
    """Return how every check ended, in their order; each has ended when the time is over.

    Args:
        checks: those that others need come before them.
    """
    ends_at = asyncio.get_running_loop().time() + within_s
    running: dict[str, asyncio.Task[Outcome]] = {}
    async with asyncio.TaskGroup() as group:
        for check in checks:
            others = {name: running[name] for name in (*check.needs, *check.minds)}
            turn = _examine(check, target, others, ends_at=ends_at)
            running[check.name] = group.create_task(turn, name=check.name)
    return [task.result() for task in running.values()]


async def _examine(
    check: Check, target: Target, others: Mapping[str, asyncio.Task[Outcome]], *, ends_at: float
) -> Outcome:
    if others:
        await asyncio.wait(others.values())
    ended = {name: task.result() for name, task in others.items()}
    for name in check.needs:
        if ended[name].state in {State.AWAY, State.UNKNOWN}:
            return Outcome(check, State.UNKNOWN, reason=_name_cause(ended[name]))
    away = frozenset(name for name, outcome in ended.items() if outcome.state == State.AWAY)
    return await _look(check, replace(target, away=away), ends_at=ends_at)


async def _look(check: Check, target: Target, *, ends_at: float) -> Outcome:
    try:
        async with asyncio.timeout_at(ends_at):
            findings = tuple(await check.look(target))
    except Away as exc:
        return Outcome(check, State.AWAY, exc.findings)
    except NotHere as exc:
        return Outcome(check, State.NOT_HERE, reason=str(exc))
    except (TimeoutError, DeadlineExceeded):
        return Outcome(check, State.UNKNOWN, reason="there was no time: --within")
    except DependencyUnavailable as exc:
        return Outcome(check, State.UNKNOWN, reason=f"{exc.detail or exc} failed meanwhile")
    except Exception as exc:  # noqa: BLE001 - one check that breaks hides none of the others, and is told
        return Outcome(check, State.UNKNOWN, reason=f"the check broke: {exc!r}")
    return Outcome(check, State.WRONG if findings else State.WELL, findings)


def _name_cause(outcome: Outcome) -> str:
    """Return what is away at the root, however many checks stand between."""
    if outcome.state == State.AWAY:
        return f"{', '.join(finding.subject for finding in outcome.findings)} is away"
    return outcome.reason
