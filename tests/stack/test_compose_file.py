"""Every rule for docker-compose.yml holds, and each can be broken: what the check says of a file with one fault."""

import re
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from scripts.checks.compose import logs, metrics, rules, settings
from scripts.checks.compose.project import (
    LOGS_FILE,
    TLS_FILE,
    Project,
    parse_project,
    read_project,
    with_overlay,
)
from scripts.checks.sources import REPOSITORY


@cache
def present() -> Project:
    """The repository's own; set-up runs once for all tests."""
    return read_project()


def test_the_file_of_the_repository_has_no_fault() -> None:
    assert rules.find_problems(present()) == []
    assert settings.find_problems(present()) == []
    assert metrics.find_problems(present()) == []


# What is written instead of what, once, and what is said of it.
FAULTS = {
    "an unknown variable": ("${DOCS:?", "${DOCUMENTS:?", "$DOCUMENTS is not made by"),
    "a variable that may be missing": ("${DOCS:?run scripts/setup --compose}", "${DOCS}", "$DOCS has no `:?message`"),
    "a default password": ("${MYSQL_ROOT_PASSWORD:?run scripts/setup --compose}", "${MYSQL_ROOT_PASSWORD:-root}", "$MYSQL_ROOT_PASSWORD has no"),
    "a variable made in vain": ("${HSTS?run scripts/setup --compose}", "none", "makes HSTS, which"),
    "a setting that does not exist": ("DOUSHENG_LOG__FORMAT: json", "DOUSHENG_LOG__FROMAT: json", "DOUSHENG_LOG__FROMAT is no setting"),
    "a value that does not fit": ("DOUSHENG_LOG__FORMAT: json", "DOUSHENG_LOG__FORMAT: xml", "user: settings cannot be used"),
    "a list that is no JSON": ("'[\"etcd:2379\"]'", "etcd:2379", "as JSON"),
    "capabilities": ("cap_drop: [ALL]", "cap_drop: []", "user: cap_drop is not ['ALL']"),
    "a root file system that is written to": ("read_only: true", "read_only: false", "gateway: read_only is not True"),
    "new privileges": ('["no-new-privileges:true"]', "[]", "nginx: security_opt is not"),
    "a name for one container alone": ("    hostname: rabbitmq", "    container_name: rabbitmq", "rabbitmq: has container_name"),
    "a user that is root": ("  user: mysql", "  user: root", "mysql-1: is root"),
    "rights for the one that is root": ("cap_add: [CHOWN]", "cap_add: [ALL]", "folders: is root and more"),
    "rights for the one that looks into processes": ("cap_add: [SYS_PTRACE]", "cap_add: [ALL]", "profiler: is root and more"),
    "everybody's processes": ("restart: \"no\"\n  deploy", "restart: \"no\"\n  pid: host\n  deploy", "migrate: has pid"),
    "no restart policy": ("  restart: unless-stopped\n", "", "etcd: has no restart policy"),
    "a log without a limit": ("max-size: 10m, ", "", "etcd: its log grows"),
    "no limit of memory": ("memory: 4G, ", "", "video: has no limit of memory"),
    "a port for everybody": ("    hostname: rabbitmq\n", "    ports: ['5672:5672']\n", "rabbitmq publishes"),
    "a server in the outer network": ("networks: [web, rpc]", "networks: [edge, web, rpc]", "gateway is in the network edge"),
    "a network that leads out": ("rpc: {internal: true}", "rpc: {}", "the network rpc is not internal"),
    "an image of any version": ("redis:7.2.16-alpine", "redis:latest", "'redis:latest' has no version"),
    "a dependency that does not exist": ("redis-cache: {condition", "redis-cash: {condition", "which does not exist"),
    "waiting for health nobody asks for": ("mysql-2: {condition: service_started}", "folders: {condition: service_healthy}", "folders, which has no check"),
    "waiting for the end of what goes on": ("etcd: {condition: service_healthy}", "etcd: {condition: service_completed_successfully}", "etcd, which is started again"),
    "no health check": ("    healthcheck: {<<: *health, test: [CMD, python, -m, pkg.rpc.health, \"127.0.0.1:8081\"]}\n", "", "comment has no health check"),
    "a health check that does not exist": ("pkg.rpc.health, \"127.0.0.1:8081\"", "pkg.rpc.wealth, \"127.0.0.1:8081\"", "comment: there is no module pkg.rpc.wealth"),
    "a health check of another port": ("\"127.0.0.1:8081\"", "\"127.0.0.1:8082\"", "comment: is asked for its health on 8082, listens on 8081"),
    "a process that does not exist": ("command: [services.user]", "command: [services.users]", "user: there is no module services.users"),
    "a target that is not built": ("target: media", "target: medium", "has no target medium"),
    "too little time to stop": ("stop_grace_period: 25s", "stop_grace_period: 5s", "video: is killed after 5 s"),
    "a file that does not exist": ("./config/redis/cache.conf", "./config/redis/cash.conf", "./config/redis/cash.conf does not exist"),
    "a file that a server may change": ("cache.conf:/etc/dousheng/redis.conf:ro", "cache.conf:/etc/dousheng/redis.conf", "could write to"),
    "a volume that nobody declares": ("rabbitmq:/var/lib/rabbitmq", "rabbits:/var/lib/rabbitmq", "volumes rabbits"),
    "a key that nobody makes": (".secrets/tls}", ".secrets/ssl}", "makes no .secrets/ssl"),
    "a secret that a process does not get": ("    secrets: [token_public, token_private]\n", "", "user: is told of the secret token_private"),
    "a server that does not exist": ('["rabbitmq:5672"]', '["rabbit:5672"]', "rabbit:5672 is no service"),
    "a server in another network": ("networks: [rpc, data]", "networks: [rpc]", "shares no network with mysql-1"),
    "a port on which nobody listens": ('["rabbitmq:5672"]', '["rabbitmq:5673"]', "rabbitmq listens on 5672, not 5673"),
    "an upload that nginx would refuse": ('NGINX_MAX_BODY_MB: "51"', 'NGINX_MAX_BODY_MB: "5"', "NGINX_MAX_BODY_MB is 5, not 51"),
    "a value that a template lacks": ("NGINX_BEHIND: resolved.conf", "NGINX_FRONT: x", "nginx.conf.template wants NGINX_BEHIND"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str) -> None:
    right, wrong, said = FAULTS[fault]
    project = present()
    assert right in project.text

    broken = parse_project(project.text.replace(right, wrong), project.made)

    found = rules.find_problems(broken)
    # Reading all settings takes longer, and is not needed where a rule speaks.
    if not any(said in problem for problem in found):
        found += settings.find_problems(broken)
    assert any(said in problem for problem in found), found


def test_the_file_for_tls_has_no_fault() -> None:
    encrypted = with_overlay(present(), TLS_FILE, tls_file())

    assert rules.find_problems(encrypted) == []
    assert settings.find_problems(encrypted) == []


def tls_file() -> str:
    return (REPOSITORY / TLS_FILE).read_text()


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("video.pem", "vidoe.pem", "makes no .secrets/certificates/vidoe.pem"),
        ("{source: video_key, target: key}", "", "video: is told of the secret key"),
        ("key_file", "keyfile", "settings cannot be used"),
        ("127.0.0.1:8086", "127.0.0.1:8085", "video: is asked for its health on 8085"),
    ],
)
def test_a_fault_of_the_file_for_tls_is_found(right: str, wrong: str, said: str) -> None:
    broken = with_overlay(present(), TLS_FILE, tls_file().replace(right, wrong, 1))

    found = [*rules.find_problems(broken), *settings.find_problems(broken)]

    assert any(said in problem for problem in found), found


def test_the_file_for_tls_names_services_that_exist() -> None:
    with pytest.raises(ValueError, match="vidoe"):
        with_overlay(present(), TLS_FILE, tls_file().replace("  video:", "  vidoe:"))


def test_the_file_for_logs_has_no_fault() -> None:
    shipped = with_overlay(present(), LOGS_FILE, logs_file())

    assert rules.find_problems(shipped) == []
    assert settings.find_problems(shipped) == []
    assert logs.find_problems(shipped) == []


def logs_file() -> str:
    return (REPOSITORY / LOGS_FILE).read_text()


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("  comment: *shipped\n", "", "comment: its log is not sent: the driver is json-file"),
        ("  nginx: *shipped\n", "", "nginx: its log is not sent"),
        ('fluentd-async: "true"', 'fluentd-async: "false"', "user: it would not start while"),
        ("127.0.0.1:${LOG_PORT:", "127.0.0.1:${JAEGER_PORT:", "gateway: nobody listens on"),
        ("      max-size: 10m\n", "", "video: its log grows without a limit"),
        ("${LOG_PORT:", "${LOGS_PORT:", "$LOGS_PORT is not made by"),
    ],
)
def test_a_fault_of_the_file_for_logs_is_found(right: str, wrong: str, said: str) -> None:
    assert right in logs_file()
    broken = with_overlay(present(), LOGS_FILE, logs_file().replace(right, wrong, 1))

    found = [*rules.find_problems(broken), *logs.find_problems(broken)]

    assert any(said in problem for problem in found), found


def test_a_password_that_set_up_does_not_make_is_missed() -> None:
    project = present()
    kept = {name: value for name, value in project.made.variables.items() if "ETCD" not in name}

    found = rules.find_problems(replace(project, made=replace(project.made, variables=kept)))

    assert "$ETCD_ROOT_PASSWORD is not made by scripts/setup --compose" in found


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("port: 8095", "port: 8094", "user is asked on 8094, shows metrics on 8095"),
        ("names: [video]", "names: [videos]", "video is asked on None"),
    ],
)
def test_metrics_that_nobody_shows_are_found(right: str, wrong: str, said: str) -> None:
    text = (REPOSITORY / metrics.PROMETHEUS_FILE).read_text()

    found = list(metrics.find_wrong_targets(text.replace(right, wrong), present()))

    assert any(said in problem for problem in found), found


def test_a_dockerfile_against_the_rules_is_refused(tmp_path: Path) -> None:
    dockerfile = tmp_path / "bad.Dockerfile"
    dockerfile.write_text("FROM python:latest\nCMD python -m gateway\n")
    program = REPOSITORY / ".venv" / "bin" / "hadolint"

    done = subprocess.run(
        [program, "--failure-threshold", "info", dockerfile],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "DL3007" in done.stdout
    assert "DL3025" in done.stdout


# They look for the local stack and go on without one.
BESIDE_A_STACK = {"settings.py", "certificates.py", "local_stack.py", "processes.py"}


def test_the_images_hold_every_module_that_an_operators_script_imports() -> None:
    let_in = re.findall(
        r"^!scripts/(\w+)", (REPOSITORY / ".dockerignore").read_text(), re.MULTILINE
    )

    for path in (REPOSITORY / "scripts" / "operator").rglob("*.py"):
        imported = set(re.findall(r"^\s*from scripts\.(\w+)", path.read_text(), re.MULTILINE))
        missing = imported - set(let_in)
        assert missing <= ({"stack"} if path.name in BESIDE_A_STACK else set()), path
