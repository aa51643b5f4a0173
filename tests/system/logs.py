"""What must not stand in any log of the system, whatever was played with it."""

from collections.abc import Iterator
from pathlib import Path

from scripts.stack.ports import SERVICES
from tests.system.system import System

SERVERS = ("mysql", "redis-actions", "redis-cache", "rabbitmq", "etcd", "s3", "nginx")
BUGS = ("unexpected error", "died", "never retrieved")


def list_secrets(system: System) -> set[bytes]:
    """Return everything confidential that was said so far, and what the processes log in with."""
    credentials = vars(system.stack.site.credentials)
    return {text.encode() for text in (*system.spoken.secrets, *credentials.values())}


def find_secrets(system: System) -> list[str]:
    """Return where a log holds a token, a password, a title or a text; a log is missed where one should be."""
    secrets = list_secrets(system)
    logs = {path: path.read_bytes() for path in _find_logs(system)}
    missing = {*SERVICES, *SERVERS, "gateway"} - {path.stem for path in logs}
    return [
        *(f"no log of {name}" for name in missing),
        *(
            f"{path.name}: {secret.decode()[:4]}…"
            for path, content in logs.items()
            for secret in secrets
            if secret in content
        ),
    ]


def find_bugs(system: System) -> list[str]:
    """Return the lines in which a process tells of something that nobody foresaw."""
    return [
        f"{name}: {line}"
        for name in (*SERVICES, "gateway")
        for line in system.read_log(name).splitlines()
        if any(bug in line for bug in BUGS)
    ]


def _find_logs(system: System) -> Iterator[Path]:
    """Yield every log of the stack, rotated ones and those that servers keep themselves included."""
    for path in system.stack.site.run_dir.rglob("*"):
        if path.is_file() and ".log" in path.name and "mysql/data" not in str(path):
            yield path
