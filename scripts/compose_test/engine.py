"""Docker's engine, started for the trial inside of the inner machine, and its client."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.compose_test.isolation import NAME_SERVER
from scripts.compose_test.place import Place
from scripts.compose_test.steps import Steps
from scripts.stack.files import get_command, read_tail
from scripts.stack.processes import wait_until
from scripts.stack.report import StackError

SOCKET = "/run/docker.sock"
# The client that belongs to the engine: a newer one elsewhere on PATH may speak another protocol.
_CLIENT = "/usr/bin/docker"
# Where the limits of the containers hang in the tree of control groups, the one thing that is shared with the machine.
CGROUP = "/dousheng-compose-test"
_START_S = 60
_STOP_S = 60
_CALL_S = 60


@dataclass(frozen=True)
class Engine:
    """An engine that runs."""

    place: Place

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find it."""
        return {
            "DOCKER_HOST": f"unix://{SOCKET}",
            "DOCKER_CONFIG": str(self.place.client_config),
            "DOCKER_BUILDKIT": "1",
            "PATH": f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin",
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """Return a command line of the client."""
        return [_CLIENT, *map(str, arguments)]

    def ask(self, *arguments: str | Path, timeout_s: float = _CALL_S) -> str:
        """Return what the client prints.

        Raises:
            StackError: the engine refuses.
        """
        return run_client(self.command(*arguments), self.environment, timeout_s=timeout_s)

    def inspect(self, name: str) -> dict[str, Any]:
        """Return everything that the engine knows of one object."""
        (found,) = json.loads(self.ask("inspect", name))
        return dict(found)

    def read_log(self, container: str, lines: int) -> list[str]:
        """Return the last lines that a container has printed, on either stream."""
        done = _run(
            self.command("logs", "--tail", str(lines), container),
            self.environment,
            timeout_s=_CALL_S,
        )
        return (done.stdout + done.stderr).splitlines()

    def has_image(self, name: str) -> bool:
        """Say whether an image of that name is here."""
        return bool(self.ask("images", "--quiet", name).strip())


def run_client(
    command: Sequence[str],
    environment: dict[str, str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
) -> str:
    """Return what a client of the engine prints; raise StackError with its complaint where it fails."""
    done = _run(command, environment, timeout_s=timeout_s, cwd=cwd)
    if done.returncode != 0:
        problem = f"`{' '.join(command)}` failed with exit status {done.returncode}"
        raise StackError(problem, log_tail=(done.stdout + done.stderr).splitlines()[-30:])
    return done.stdout


def _run(
    command: Sequence[str],
    environment: dict[str, str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=os.environ | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@contextmanager
def running_engine(place: Place, steps: Steps) -> Iterator[Engine]:
    """Run an engine while the block runs; what earlier runs left of containers, networks and volumes is removed."""
    engine = Engine(place)
    log = place.logs / "dockerd.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(
            [get_command("dockerd"), *_options(place)],
            env=os.environ | engine.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with steps.step("engine"):
            if not wait_until(lambda: _answers(engine, daemon), timeout_s=_START_S, interval_s=0.2):
                raise StackError("dockerd does not start", log_tail=read_tail(log, 20))
            _forget_containers(engine)
        yield engine
    finally:
        daemon.terminate()
        try:
            daemon.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _options(place: Place) -> list[str]:
    return [
        f"--data-root={place.data}",
        f"--host=unix://{SOCKET}",
        f"--dns={NAME_SERVER}",
        # The other one asks systemd, which is outside.
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--cgroup-parent={CGROUP}",
        "--shutdown-timeout=20",
    ]


def _answers(engine: Engine, daemon: "subprocess.Popen[bytes]") -> bool:
    if daemon.poll() is not None:
        raise StackError(
            f"dockerd ended with exit status {daemon.returncode}",
            log_tail=read_tail(engine.place.logs / "dockerd.log", 20),
        )
    try:
        engine.ask("version")
    except StackError:
        return False
    return True


def _forget_containers(engine: Engine) -> None:
    if containers := engine.ask("ps", "--all", "--quiet").split():
        engine.ask("rm", "--force", "--volumes", *containers)
    engine.ask("network", "prune", "--force")
    if volumes := engine.ask("volume", "ls", "--quiet").split():
        engine.ask("volume", "rm", *volumes)
