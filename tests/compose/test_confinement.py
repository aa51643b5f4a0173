"""What the compose file promises of every container holds for the processes that really run in it."""

from pathlib import Path

import pytest

from scripts.compose_test.project import Project


def read_status(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process; nothing where it has ended, as health checks do."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def read_command(pid: int) -> str:
    """Return the command line of a process; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def list_processes(project: Project) -> list[tuple[str, int]]:
    """Return every process of every container, with its service."""
    return [
        (project.service_of(container), int(line.split()[0]))
        for container in project.list_running()
        for line in project.engine.ask("top", container, "-o", "pid").splitlines()[1:]
    ]


def test_no_process_is_root_or_can_become_more(project: Project) -> None:
    processes = list_processes(project)

    read = [(service, read_status(pid)) for service, pid in processes]
    statuses = [(service, status) for service, status in read if status]

    assert len({service for service, _ in statuses}) > 10

    assert {service for service, status in statuses if "0" in status["Uid"].split()} == set()
    rights = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert {
        service for service, status in statuses if any(int(status[name], 16) for name in rights)
    } == set()
    assert {service for service, status in statuses if status["NoNewPrivs"] != "1"} == set()
    assert {service for service, status in statuses if status["Seccomp"] != "2"} == set()


@pytest.mark.parametrize("setting", ["Memory", "NanoCpus", "PidsLimit"])
def test_every_container_has_its_limits(project: Project, setting: str) -> None:
    limits = {
        project.service_of(container): project.engine.inspect(container)["HostConfig"][setting]
        for container in project.list_running()
    }

    assert {service for service, limit in limits.items() if not limit or limit < 0} == set()


def test_every_root_file_system_is_read_only_and_every_log_ends(project: Project) -> None:
    for container in project.list_running():
        host = project.engine.inspect(container)["HostConfig"]
        assert host["ReadonlyRootfs"], project.service_of(container)
        assert set(host["LogConfig"]["Config"]) >= {"max-size", "max-file"}


def test_keys_are_read_by_nobody_else(project: Project) -> None:
    secrets = project.folder / ".secrets"

    open_to_others = [
        path
        for path in (project.folder / ".env", *secrets.rglob("*"))
        if path.stat().st_mode & 0o077
    ]

    assert open_to_others == []


def test_no_secret_stands_in_a_list_of_processes(project: Project) -> None:
    lines = (project.folder / ".env").read_text().splitlines()
    secrets = [
        value
        for name, _, value in (line.partition("=") for line in lines)
        if name.endswith(("PASSWORD", "SECRET_KEY", "PARTS_KEY"))
    ]

    told = [
        service
        for service, pid in list_processes(project)
        if any(secret in read_command(pid) for secret in secrets)
    ]

    assert len(secrets) > 5
    assert told == []
