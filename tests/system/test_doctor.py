"""The doctor beside the running system: one thing that is away is one name, and nothing else."""

from collections.abc import Mapping, Sequence

import pytest

from scripts.operator.doctor.__main__ import look, merge_findings
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.local_stack import LocalStack
from scripts.operator.doctor.target import DoctorSettings
from tests.eventually import eventually
from tests.operator.doctor.conftest import load_doctor_settings
from tests.system.system import System

# A busy machine takes its time.
WITHIN_S = 60.0
# Nothing listens there.
NO_NODE: Mapping[str, object] = {"nodes": ("127.0.0.1:1",)}
NO_HOST: Mapping[str, object] = {"host": "127.0.0.1", "port": 1}
AWAY = {
    **dict.fromkeys(("mysql", "storage"), NO_HOST),
    **dict.fromkeys(("redis_actions", "redis_cache", "rabbitmq", "etcd"), NO_NODE),
}


@pytest.fixture(scope="module")
def doctor_settings(system: System) -> DoctorSettings:
    return load_doctor_settings(system.stack)


async def find_all(system: System, settings: DoctorSettings) -> Sequence[Finding]:
    place = LocalStack(system.stack)
    return merge_findings(await look(settings, place, None, WITHIN_S))


async def wait_well(system: System, settings: DoctorSettings) -> None:
    """Wait until nothing is left of what was done before."""

    async def is_well() -> bool:
        found = await find_all(system, settings)
        assert not found, found
        return True

    await eventually(is_well, within_s=120)


@pytest.mark.parametrize("section", AWAY)
async def test_a_server_that_is_away_is_named_and_nothing_else(
    system: System, doctor_settings: DoctorSettings, section: str
):
    await wait_well(system, doctor_settings)
    moved = getattr(doctor_settings, section).model_copy(update=AWAY[section])

    found = await find_all(system, doctor_settings.model_copy(update={section: moved}))

    assert [finding.subject for finding in found] == [section.replace("_", "-")]
    assert found[0].what == "does not answer"


async def test_a_process_that_was_stopped_is_named_and_nothing_else(
    system: System, doctor_settings: DoctorSettings
):
    await wait_well(system, doctor_settings)
    system.stack.stop("nginx")
    try:
        (found,) = await find_all(system, doctor_settings)
    finally:
        system.stack.start("nginx")

    assert (found.subject, found.what) == ("nginx", "does not run")
    assert "the supervisor says: stopped" in found.evidence
    assert "scripts/up" in found.next_command
