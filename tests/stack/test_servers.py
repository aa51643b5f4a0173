"""The real servers: they come back, they are told about, they leave nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pymysql
import pytest

from scripts.stack import Stack
from scripts.stack.processes import is_alive, list_marked, wait_until
from scripts.stack.site import REPOSITORY
from tests.stacks import private_stack
from tests.system.system import kill_process

pytestmark = pytest.mark.servers

SERVERS = {"epmd", "mysql", "redis-actions", "redis-cache", "rabbitmq", "etcd", "s3"}
QUICK = ("mysql", "redis-actions", "etcd")


def test_status_names_the_real_processes(servers: Stack) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.stack", "status", "--json"),
            *("--run-dir", str(servers.site.run_dir)),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )

    found = {item["name"]: item for item in json.loads(done.stdout)}
    assert {name for name, item in found.items() if item["state"] == "running"} == SERVERS
    assert set(found["mysql"]) == {"name", "kind", "pid", "state", "address", "log"}
    programs = {
        name: Path(psutil.Process(found[name]["pid"]).cmdline()[0]).name for name in SERVERS
    }
    assert programs["mysql"] == "mariadbd"
    assert programs["rabbitmq"] == "beam.smp"
    assert programs["s3"] == "weed"
    assert Path(found["mysql"]["log"]).exists()


def test_the_end_of_a_log_is_shown(servers: Stack) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.stack", "logs", "mysql", "-n", "2"),
            *("--run-dir", str(servers.site.run_dir)),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines() == servers.site.log_file("mysql").read_text().splitlines()[-2:]


def test_a_second_up_leaves_healthy_processes_alone_and_is_quick(servers: Stack) -> None:
    before = servers.status()
    begun = time.monotonic()

    servers.up("servers")

    assert servers.status() == before
    assert time.monotonic() - begun < 20


def test_a_server_that_is_killed_comes_back(servers: Stack) -> None:
    before = {name: servers.pid(name) for name in SERVERS}

    for pid in before.values():
        kill_process(pid)

    for name in SERVERS:
        servers.wait_ready(name, timeout_s=90)
        assert servers.pid(name) != before[name]


def test_mysql_keeps_every_commit_and_logs_it_for_replicas(servers: Stack) -> None:
    connection = pymysql.connect(unix_socket=str(servers.mysql_socket), user="root")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT @@innodb_flush_log_at_trx_commit, @@sync_binlog, @@log_bin,"
            " @@binlog_format, @@character_set_server, @@time_zone"
        )
        assert cursor.fetchone() == (1, 1, 1, "ROW", "utf8mb4", "+00:00")


def test_a_stopped_server_stays_down_until_it_is_started(servers: Stack) -> None:
    servers.stop("redis-cache")
    states = {item.name: item.state for item in servers.status()}

    servers.start("redis-cache")

    assert states["redis-cache"] == "stopped"
    assert servers.pid("redis-cache")


def test_a_killed_supervisor_is_recovered_from_and_down_leaves_nothing(tmp_path: Path) -> None:
    with private_stack(tmp_path / "run") as stack:
        stack.up(QUICK)
        supervisor = int((tmp_path / "run" / "supervisord.pid").read_text())
        old = list_marked(stack.site.run_dir)
        os.kill(supervisor, signal.SIGKILL)

        stack.up(QUICK)

        assert not any(is_alive(pid) for pid in old)
        new = list_marked(stack.site.run_dir)
        assert len(new) == len(QUICK)

    assert not any(is_alive(pid) for pid in new)
    assert list_marked(stack.site.run_dir) == []


def test_a_private_stack_ends_with_the_process_that_brought_it_up(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from scripts.stack import *;"
        "stack = Stack(Path(sys.argv[1]), find_free_port_base(), die_with_parent=True);"
        "stack.up(sys.argv[2:]); print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run"), *QUICK],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        started = list_marked(tmp_path / "run")

        child.kill()

    assert len(started) == len(QUICK)
    assert wait_until(lambda: not any(map(is_alive, started)), timeout_s=10)
