"""What the doctor looks at: the servers of the tests, without a process of the product."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest

from dal.db.engine import Database
from scripts.operator.doctor.place import Elsewhere
from scripts.operator.doctor.target import DoctorSettings, Target
from scripts.stack import Stack

# A busy machine takes its time.
ANSWER_S = 30.0


def bare_target() -> Target:
    """Return a target for checks that ask no server."""
    nothing = cast(DoctorSettings, None)
    return Target(nothing, Elsewhere(), cast(Database, None), None, ANSWER_S)


def load_doctor_settings(stack: Stack) -> DoctorSettings:
    """Return what the doctor reads beside a stack, with deadlines of a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        settings = DoctorSettings.load()
    return settings.waiting_at_most(ANSWER_S, within_s=2 * ANSWER_S)


@pytest.fixture
async def target(servers: Stack) -> AsyncIterator[Target]:
    """The servers, seen from a checkout whose environment names them."""
    settings = load_doctor_settings(servers)
    database = Database(settings.mysql)
    try:
        await database.find_source()
        yield replace(bare_target(), settings=settings, database=database)
    finally:
        await database.close()
