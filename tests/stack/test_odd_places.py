"""The whole system in a clone whose path needs quoting everywhere, with settings that do as well."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from scripts.stack import find_free_port_base
from scripts.stack.site import REPOSITORY
from tests.stack.conftest import ODD_NAME

pytestmark = pytest.mark.servers

FOLDERS = ("protos", "gateway", "services", "dal", "pkg", "config", "scripts")
RATE_LIMIT = '{"enabled": false}'
ISSUER = 'it\'s "quoted", 50% #1; $HOME\\ `x`\n抖声'


def run_stack(clone: Path, *arguments: str) -> str:
    done = subprocess.run(
        [clone / ".venv" / "bin" / "python", "-m", "scripts.stack", *arguments],
        cwd=clone,
        env={
            **os.environ,
            "DOUSHENG_PORT_BASE": str(find_free_port_base()),
            "DOUSHENG_GATEWAY__RATE_LIMIT": RATE_LIMIT,
            "DOUSHENG_TOKEN__ISSUER": ISSUER,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the repository with the packages of this one."""
    folder = tmp_path / ODD_NAME
    folder.mkdir()
    for name in FOLDERS:
        shutil.copytree(REPOSITORY / name, folder / name)
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    (folder / ".venv").symlink_to(REPOSITORY / ".venv")
    return folder


def test_the_system_runs_wherever_it_lies_and_whatever_its_settings_hold(clone: Path) -> None:
    try:
        run_stack(clone, "up", "--no-seed")
        processes = json.loads(run_stack(clone, "status", "--json"))
        table = run_stack(clone, "status")
        (gateway,) = [item for item in processes if item["name"] == "gateway"]
        environment = psutil.Process(gateway["pid"]).environ()
    finally:
        run_stack(clone, "down")

    assert {item["state"] for item in processes} == {"running"}
    assert " .run/log/gateway.log\n" in table
    assert environment["DOUSHENG_GATEWAY__RATE_LIMIT"] == RATE_LIMIT
    assert environment["DOUSHENG_TOKEN__ISSUER"] == ISSUER
