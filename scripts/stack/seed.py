"""Sample users and videos for the local stack: once, unless asked for. And a population beside them."""

import asyncio
import os
from pathlib import Path

from pkg.errors import DeadlineExceeded, DependencyUnavailable
from scripts.operator.console import quiet_logs
from scripts.population.amounts import Amounts, PopulationRefused
from scripts.private_files import write_private
from scripts.samples import SamplesRefused, put_samples_in
from scripts.stack.report import Report, StackError, step
from scripts.stack.site import Site
from scripts.stack.stack import Stack


def seed(site: Site, *, report: Report, again: bool = False) -> None:
    """Register the sample users, publish the sample videos and wait until the feed shows them.

    Does nothing where it was done before, unless `again`; what is there already is not doubled.

    Raises:
        StackError: the system refused something, or a video did not get published in time.
    """
    if is_seeded(site) and not again:
        return
    try:
        with step(report, "sample users and videos"):
            put_samples_in(f"http://127.0.0.1:{site.ports.of('nginx')}/douyin")
    except SamplesRefused as exc:
        raise StackError(
            f"the samples could not be put in: {exc}",
            fix="see scripts/status and scripts/logs gateway, then run scripts/seed",
        ) from exc
    write_private(_marker_of(site), "")


def is_seeded(site: Site) -> bool:
    """Return whether the samples were put in here before."""
    return _marker_of(site).exists()


def _marker_of(site: Site) -> Path:
    return site.run_dir / "seeded"


def seed_population(stack: Stack, amounts: Amounts) -> None:
    """Write made-up people, and what they did, into the stack's database; shows how far it is.

    Raises:
        StackError: it was refused, or MySQL does not answer.
    """
    # Half of the product, which no other command of the stack needs.
    from scripts.population.filling import PopulationSettings, populate  # noqa: PLC0415

    quiet_logs()
    os.environ.update(stack.environment())
    try:
        asyncio.run(populate(PopulationSettings.load(), amounts))
    except PopulationRefused as exc:
        raise StackError(f"nothing was seeded: {exc}") from exc
    except (DependencyUnavailable, DeadlineExceeded) as exc:
        raise StackError(
            f"MySQL does not answer: {exc.detail or exc}",
            fix="run scripts/up; what was begun stays, and its counters are put right by scripts/recount --fix",
        ) from exc
