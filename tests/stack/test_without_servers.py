"""What the scripts refuse and promise before anything runs."""

import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from scripts.stack import Ports, Stack, StackError, find_free_port_base
from scripts.stack.environment import make_instance_environment
from scripts.stack.files import render
from scripts.stack.inventory import PRODUCT, choose_product, make_product
from scripts.stack.ports import OFFSETS, SPAN
from scripts.stack.servers.nginx import Nginx
from scripts.stack.site import REPOSITORY, Site

pytestmark = pytest.mark.processes

COMMAND = (str(REPOSITORY / ".venv" / "bin" / "python"), "-m", "scripts.stack")


def test_a_busy_port_is_refused_with_its_purpose_and_holder(tmp_path: Path) -> None:
    base = find_free_port_base()
    stack = Stack(tmp_path / "run", base)

    with (
        socket.create_server(("127.0.0.1", base + OFFSETS["mysql"])),
        pytest.raises(StackError) as refused,
    ):
        stack.up("servers")

    message = str(refused.value)
    assert f"port {base + OFFSETS['mysql']}, which MySQL needs" in message
    assert f"pid {os.getpid()} (" in message
    assert "DOUSHENG_PORT_BASE=" in message


@pytest.mark.parametrize("base", [0, 1023, 32768 - SPAN + 1, 60000])
def test_a_base_whose_ports_leave_the_safe_range_is_refused(base: int) -> None:
    with pytest.raises(StackError, match="out of range"):
        Ports(base)


def test_every_port_has_one_owner() -> None:
    assert len(set(OFFSETS.values())) == len(OFFSETS)
    assert max(OFFSETS.values()) < SPAN


def test_a_second_instance_has_ports_and_a_folder_of_its_own(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "run", 12000, workers=2)

    addresses = {item.name: item.address for item in stack.status()}

    assert len(set(addresses.values())) == len(addresses)
    for name, offset in OFFSETS.items():
        if name in PRODUCT:
            assert addresses[name] == f"127.0.0.1:{12000 + offset}"
            assert addresses[f"{name}-2"] == f"127.0.0.1:{12000 + SPAN + offset}"
    own = make_instance_environment(stack.site, "video", 2)
    assert own["DOUSHENG_VIDEO__METRICS_PORT"] == str(12000 + SPAN + OFFSETS["video-metrics"])
    assert own["DOUSHENG_VIDEO__SPOOL_DIR"].endswith("/spool/video-2")
    assert all(
        stack.environment()[name] != value for name, value in own.items() if "HOST" not in name
    )


def test_instances_for_which_there_are_no_ports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="2 instances on port base 32720 would need port"):
        Stack(tmp_path / "run", 32720, workers=2).status()


@pytest.mark.parametrize("workers", ["0", "9", "-1", "two", ""])
def test_a_number_of_workers_that_cannot_be_is_refused(tmp_path: Path, workers: str) -> None:
    done = _run("up", "--workers", workers, "--run-dir", str(tmp_path / "run"))

    assert done.returncode == 1
    assert f"{workers!r} workers cannot be had\nto fix it: ask for 1 to 8" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_restart_needs_a_stack_that_runs(tmp_path: Path) -> None:
    done = _run("restart", "--run-dir", str(tmp_path / "run"))

    assert done.returncode == 1
    assert "the stack does not run\nto fix it: run scripts/up" in done.stderr


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["user"], ["user", "user-2"]),
        (["user-2", "nginx"], ["user-2", "nginx"]),
        (["gateway"], ["gateway", "gateway-2"]),
    ],
)
def test_a_restart_means_every_instance_of_a_name(
    tmp_path: Path, names: list[str], chosen: list[str]
) -> None:
    site = Stack(tmp_path / "run", 12000).site
    storage = {"DOUSHENG_STORAGE__HOST": "127.0.0.1", "DOUSHENG_STORAGE__PORT": "12001"}
    product = make_product(site, storage, dict.fromkeys(PRODUCT, 2))

    assert [item.name for item in choose_product(product, names)] == chosen
    assert choose_product(product, []) == product
    with pytest.raises(StackError, match="no process mysql"):
        choose_product(product, ["mysql"])


def test_a_port_base_that_is_no_number_is_told_plainly() -> None:
    done = _run("up", "--only", "servers", DOUSHENG_PORT_BASE="80a")

    assert done.returncode == 1
    assert "DOUSHENG_PORT_BASE is '80a', which is not a number" in done.stderr


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    first = Stack(tmp_path / "run", 12000)
    again = Stack(tmp_path / "run", 12000)

    assert first.environment() == again.environment()
    secrets = tmp_path / "run" / "secrets.json"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert stat.S_IMODE(secrets.parent.stat().st_mode) == 0o700


def test_two_stacks_share_no_secret(tmp_path: Path) -> None:
    one = Stack(tmp_path / "one", 12000).environment()
    other = Stack(tmp_path / "other", 12000).environment()

    secret = {name for name in one if name.endswith(("PASSWORD", "SECRET_KEY", "ACCESS_KEY"))}
    assert len(secret) == 8
    assert all(one[name] != other[name] for name in secret)


def test_the_environment_moves_every_port(tmp_path: Path) -> None:
    environment = Stack(tmp_path / "run", 12000).environment()

    ports = [int(value) for name, value in environment.items() if name.endswith("PORT")]
    # The servers that are lists.
    nodes = " ".join(value for name, value in environment.items() if name.endswith("NODES"))
    ports += [int(port) for port in re.findall(r":(\d+)\b", nodes)]
    assert len(ports) >= 20
    assert all(12000 <= port < 12000 + SPAN for port in ports)


def test_an_override_wins_over_what_is_generated(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "run", 12000, overrides={"DOUSHENG_LOG__FORMAT": "json"})

    assert stack.environment()["DOUSHENG_LOG__FORMAT"] == "json"


def test_a_template_with_an_unknown_name_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "x.template"
    template.write_text("$uri ${KNOWN} ${UNKNOWN}")

    assert render(template, {"KNOWN": 1, "UNKNOWN": 2}) == "$uri 1 2"
    with pytest.raises(StackError, match="UNKNOWN"):
        render(template, {"KNOWN": 1})


@pytest.mark.parametrize("has_tls", [False, True])
def test_nginx_serves_https_where_the_stack_has_tls_and_only_there(
    tmp_path: Path, has_tls: bool
) -> None:
    site_of_stack = Site(tmp_path / "run", Ports(12000), has_tls=has_tls)
    nginx = Nginx(site_of_stack, ["127.0.0.1:12009"], storage="127.0.0.1:12001")

    site = nginx.files()["site.conf"]

    assert "listen 12000;" in site
    assert ("listen 12007 ssl http2;" in site) is has_tls
    assert ("include tls.conf;" in site) is has_tls
    assert [listener.port for listener in nginx.listeners] == ["nginx", "nginx-https"][
        : 1 + has_tls
    ]


def test_down_and_status_work_where_nothing_was_ever_started(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "run")

    stack.down()

    assert {item.state for item in stack.status()} == {"stopped"}


def test_programs_of_the_environment_run_in_a_folder_of_any_name() -> None:
    bin_dir = REPOSITORY / ".venv" / "bin"
    files = [path for path in bin_dir.iterdir() if path.is_file() and not path.is_symlink()]
    first_lines = {path.name: path.read_bytes()[:4096].partition(b"\n")[0] for path in files}
    programs = {name: line for name, line in first_lines.items() if line.startswith(b"#!")}

    assert programs.keys() >= {"grpcurl", "pytest"}
    # A kernel reads so much of the line, and one word.
    assert all(len(line) < 128 and b" " not in line for line in programs.values())
    done = subprocess.run([bin_dir / "grpcurl", "--help"], capture_output=True, check=False)
    assert b"Usage:" in done.stdout + done.stderr


def test_generated_modules_are_up_to_date() -> None:
    done = subprocess.run([REPOSITORY / "scripts" / "protos", "--check"], check=False)

    assert done.returncode == 0


def test_the_commands_tell_a_person_that_nothing_runs(tmp_path: Path) -> None:
    place = ("--run-dir", str(tmp_path / "run"))

    down, status, logs = (
        _run(*command, *place) for command in (["down"], ["status"], ["logs", "mysql"])
    )

    assert (down.returncode, down.stdout) == (0, "everything is down\n")
    assert status.returncode == 3
    title, *rows = status.stdout.splitlines()
    assert title.split() == ["NAME", "KIND", "STATE", "PID", "ADDRESS", "LOG"]
    assert {row.split()[2] for row in rows} == {"stopped"}
    assert logs.returncode == 1
    assert "mysql has not written a log yet\nto fix it: run scripts/up" in logs.stderr


@pytest.mark.parametrize(
    ("arguments", "told"), [([], "whose log?"), (["mongo"], "there is no process 'mongo'")]
)
def test_a_log_of_nobody_is_refused_with_the_names_that_there_are(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    done = _run("logs", *arguments, "--run-dir", str(tmp_path / "run"))

    assert done.returncode == 1
    assert told in done.stderr
    assert "one of: epmd, mysql," in done.stderr
    assert done.stderr.endswith("supervisord\n")


def test_samples_need_a_system_that_runs(tmp_path: Path) -> None:
    Stack(tmp_path / "run", find_free_port_base()).environment()

    done = _run("seed", "--run-dir", str(tmp_path / "run"))

    assert done.returncode == 1
    assert "the samples could not be put in" in done.stderr
    assert "see scripts/status and scripts/logs gateway, then run scripts/seed" in done.stderr


def test_a_reader_that_leaves_is_no_error_that_is_told(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [*COMMAND, "status", "--run-dir", str(tmp_path / "run")],
            cwd=REPOSITORY,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, "")


def test_an_interrupted_command_says_how_to_go_on(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    # Tests that a shell runs in the background ignore SIGINT, and so would what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # The command waits for whoever holds the lock, and so for the test.
    with (run_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(
            [*COMMAND, "up", "--run-dir", str(run_dir)],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "DOUSHENG_PORT_BASE": str(find_free_port_base()),
                "PYTHONUNBUFFERED": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as up:
            assert up.stdout
            lines = [up.stdout.readline(), up.stdout.readline()]
            up.send_signal(signal.SIGINT)
            _, told = up.communicate(timeout=20)
    signal.signal(signal.SIGINT, before)

    assert lines[0] == f"bringing dousheng up in {run_dir}\n"
    assert "another command works on this stack" in lines[1]
    assert up.returncode == 130
    assert "interrupted; scripts/up goes on, scripts/down stops everything" in told


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
