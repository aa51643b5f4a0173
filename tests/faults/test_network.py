"""The machines and the wire of the tests leave nothing behind."""

import socket
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.faults.network import NoNamespacesError, two_machines

PORT_BASE = 10_000  # Nothing listens.


async def test_nothing_is_left_of_machines_that_were_killed(tmp_path: Path) -> None:
    try:
        with two_machines(tmp_path, PORT_BASE) as machines:
            both = (machines.servers, machines.services)
            names = {machine.interface for machine in both}
            assert names <= list_interfaces()

            for machine in both:
                machine.process.kill()
    except NoNamespacesError as exc:
        pytest.fail(str(exc))

    await eventually(lambda: not names & list_interfaces())


def list_interfaces() -> set[str]:
    """Return the names of this machine's network interfaces."""
    return {name for _, name in socket.if_nameindex()}
