"""What the doctor says of servers that are there, silent, or somebody else."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dal.db.engine import Database
from scripts.operator.doctor import etcd, mysql, rabbitmq, redis, storage
from scripts.operator.doctor.__main__ import CANNOT_LOOK, main
from scripts.operator.doctor.examination import Look
from scripts.operator.doctor.finding import Away
from scripts.operator.doctor.services import SERVICES
from scripts.operator.doctor.target import Target
from scripts.stack import Stack
from scripts.stack.environment import without_settings
from scripts.stack.site import REPOSITORY
from tests.bad_servers import Behaviour, bad_server_before
from tests.databases import making_databases

SHORT_S = 0.5


def port_of(address: str) -> int | str:
    """Return what a proxy connects to: a port, or etcd's socket."""
    return (
        address.removeprefix("unix:")
        if address.startswith("unix:")
        else int(address.rpartition(":")[2])
    )


@pytest.mark.parametrize(
    ("role", "look", "section"),
    [
        (mysql.ROLE, mysql.look_at_servers, "mysql"),
        (redis.ACTIONS, redis.look_at_actions, "redis_actions"),
        (redis.CACHE, redis.look_at_cache, "redis_cache"),
        (rabbitmq.ROLE, rabbitmq.look_at_broker, "rabbitmq"),
        (etcd.ROLE, etcd.look_at_members, "etcd"),
        (storage.ROLE, storage.look_at_server, "storage"),
    ],
)
async def test_a_server_that_accepts_and_says_nothing_or_rubbish_is_away(
    target: Target, role: str, look: Look, section: str
):
    own = getattr(target.settings, section)
    address = own.nodes[0] if hasattr(own, "nodes") else f"{own.host}:{own.port}"
    with bad_server_before(port_of(address)) as proxy:
        place: dict[str, Any] = {"host": "127.0.0.1", "port": proxy.port}
        if hasattr(own, "nodes"):
            place = {"nodes": (f"127.0.0.1:{proxy.port}",)}
        settings = target.settings.model_copy(update={section: own.model_copy(update=place)})
        short = settings.waiting_at_most(SHORT_S, within_s=2 * SHORT_S)
        for behaviour in (Behaviour.SILENT, Behaviour.RUBBISH):
            proxy.turn(behaviour)
            with pytest.raises(Away) as raised:
                await look(replace(target, settings=short, answer_s=SHORT_S))
            (finding,) = raised.value.findings
            assert (finding.subject, finding.what) == (role, "does not answer")
            assert str(proxy.port) in finding.evidence


async def test_a_wrong_password_is_told_as_a_refusal(target: Target):
    wrong = target.settings.redis_cache.model_copy(
        update={"password": target.settings.redis_actions.password}
    )
    settings = target.settings.model_copy(update={"redis_cache": wrong})

    with pytest.raises(Away) as raised:
        await redis.look_at_cache(replace(target, settings=settings))

    (finding,) = raised.value.findings
    assert finding.what == "refuses us"


async def test_a_database_that_was_never_migrated_is_told_with_the_command(
    target: Target, servers: Stack
):
    with making_databases(servers, target.settings.mysql) as make_database:
        empty = Database(make_database())
        with pytest.raises(Away) as raised:
            await mysql.look_at_schema(replace(target, database=empty))
        await empty.close()

    (finding,) = raised.value.findings
    assert (finding.subject, finding.next_command) == ("schema", "scripts/migrate")


def lay_out_as_image(folder: Path) -> Path:
    """Copy what the image is built from, as .dockerignore lets it in."""
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        for source in REPOSITORY.glob(pattern) if line.startswith("!") else ():
            target = folder / source.relative_to(REPOSITORY)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
    shutil.copytree(REPOSITORY / "protos", folder / "protos", dirs_exist_ok=True)
    return folder


@pytest.mark.processes
async def test_in_a_container_it_finds_services_by_etcd_and_tells_what_it_does_not_see(
    servers: Stack, tmp_path: Path
):
    image = lay_out_as_image(tmp_path / "image")
    told_where = {"DOUSHENG_CONFIG_DIR": str(image / "config"), "PYTHONPATH": str(image)}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-m", "scripts.operator.doctor", "--json", "--within", "40"],
        env=without_settings(os.environ) | servers.environment() | told_where,
        cwd=image,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    found = {(item["subject"], item["what"]) for item in told["findings"]}
    assert found >= {(service, "does not run") for service in SERVICES}
    assert all("docker compose" in item["next_command"] for item in told["findings"])
    states = {item["name"]: item["state"] for item in told["checks"]}
    assert {states[name] for name in ("mysql", "etcd", "clocks", "token keys")} == {"well"}
    assert states["nginx"] == states["disk"] == states["processes"] == "not here"
    assert states["readiness"] == "unknown"


def test_settings_that_cannot_be_used_are_no_look(
    servers: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name, value in servers.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DOUSHENG_MYSQL__PORT", "eighty")
    monkeypatch.setattr("sys.argv", ["scripts/doctor"])
    # Its handlers are those of the whole test process.
    monkeypatch.setattr("scripts.operator.doctor.__main__.quiet_logs", lambda: None)

    assert main() == CANNOT_LOOK

    assert "mysql.port" in capsys.readouterr().err
