"""Each process of the whole system, stopped and frozen: the doctor names it, and nothing else."""

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from scripts.stack.environment import without_settings
from scripts.stack.site import REPOSITORY
from tests.eventually import eventually
from tests.freezing import frozen
from tests.system.system import System

pytestmark = pytest.mark.timeout(600)

SERVERS = ("mysql", "redis-actions", "redis-cache", "rabbitmq", "etcd", "s3")
OTHERS = ("mysql-replica-1", "epmd", "comment", "favorite", "user", "video", "gateway", "nginx")


def ask(system: System) -> Mapping[str, Any]:
    """Type the command, with time for a busy machine, and return what it tells."""
    done = subprocess.run(
        [
            REPOSITORY / "scripts" / "doctor",
            "--json",
            "--within",
            "20",
            "--run-dir",
            str(system.stack.site.run_dir),
        ],
        env=without_settings(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in {0, 1, 2}, done.stderr
    told: Mapping[str, Any] = json.loads(done.stdout)
    return told


def subjects(system: System) -> list[str]:
    return [finding["subject"] for finding in ask(system)["findings"]]


async def wait_well(system: System) -> None:
    async def is_well() -> bool:
        told = ask(system)
        assert told["status"] == 0, told
        return True

    await eventually(is_well, within_s=180)


@pytest.mark.parametrize("name", [*SERVERS, *OTHERS])
async def test_what_was_stopped_is_named_and_nothing_else(system: System, name: str):
    await wait_well(system)
    system.stack.stop(name)
    try:
        assert subjects(system) == [name]
    finally:
        system.stack.start(name)
    await wait_well(system)


@pytest.mark.parametrize("name", [*SERVERS, "mysql-replica-1", "favorite", "gateway"])
async def test_what_is_frozen_is_named_and_nothing_else(system: System, name: str):
    await wait_well(system)
    with frozen(system.stack.pid(name)):
        assert subjects(system) == [name]
    await wait_well(system)
