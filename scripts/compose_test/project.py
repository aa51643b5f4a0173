"""The project of docker-compose.yml as the trial handles it: from a copy that holds what a fresh clone would."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.compose_test.engine import Engine, run_client
from scripts.compose_test.stand_ins import list_bases, make_stand_ins
from scripts.compose_test.steps import Steps
from scripts.stack.report import StackError
from scripts.stack.site import REPOSITORY

UP_S = 600
_DOWN_S = 180
_BUILD_S = 1800
_CALL_S = 120


@dataclass(frozen=True)
class Project:
    """Everything of one compose file, in the folder that is its clone."""

    engine: Engine
    folder: Path

    def command(self, *arguments: str) -> list[str]:
        """Return a command line of Docker Compose."""
        return [str(self.engine.place.compose), *arguments]

    def ask(self, *arguments: str, timeout_s: float = _CALL_S) -> str:
        """Return what Docker Compose prints.

        Raises:
            StackError: it fails.
        """
        return run_client(
            self.command(*arguments), self.engine.environment, timeout_s=timeout_s, cwd=self.folder
        )

    @cached_property
    def _config(self) -> dict[str, Any]:
        return dict(json.loads(self.ask("config", "--format", "json")))

    @property
    def name(self) -> str:
        """What the engine's names of its containers, networks and volumes begin with."""
        return str(self._config["name"])

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """Every service as Docker Compose reads it, without those of profiles."""
        services: dict[str, dict[str, Any]] = self._config["services"]
        return services

    def published_port(self, scheme: str) -> int:
        """Return the port of the machine on which nginx speaks `http` or `https`."""
        inside = {"http": 8080, "https": 8443}[scheme]
        (port,) = (
            port["published"]
            for port in self.services["nginx"]["ports"]
            if port["target"] == inside
        )
        return int(port)

    def up(self, *arguments: str) -> None:
        """Bring everything up and wait until it is healthy.

        Raises:
            StackError: it is not; the message has the end of what the unhealthy ones say.
        """
        try:
            self.ask("up", "--detach", "--no-build", "--wait", *arguments, timeout_s=UP_S)
        except StackError as exc:
            raise StackError(str(exc), log_tail=self.describe()) from exc

    def down(self, *arguments: str) -> None:
        """Take everything down; volumes stay unless the arguments say otherwise."""
        self.ask("down", "--timeout", "60", *arguments, timeout_s=_DOWN_S)

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's running containers."""
        return self.ask("ps", "--quiet", service).split()

    def list_running(self) -> list[str]:
        """Return the ids of all running containers."""
        return self.ask("ps", "--quiet").split()

    def service_of(self, container: str) -> str:
        """Return the service to which a container belongs."""
        labels = self.engine.inspect(container)["Config"]["Labels"]
        return str(labels["com.docker.compose.service"])

    def list_builds(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the images that the project builds itself, each once, with how."""
        builds = {
            service.get("image", name): service["build"]
            for name, service in self.services.items()
            if "build" in service
        }
        return list(builds.items())

    def describe(self) -> list[str]:
        """Return the last lines of each container that is not well."""
        states = [
            json.loads(line) for line in self.ask("ps", "--all", "--format", "json").splitlines()
        ]
        lines = []
        for state in states:
            if state["State"] != "running" or state["Health"] not in {"", "healthy"}:
                if state["State"] == "exited" and state["ExitCode"] == 0:
                    continue
                lines.append(f"{state['Name']} is {state['State']} {state['Health']}:")
                lines += [f"    {line}" for line in self.engine.read_log(state["Name"], 15)]
        return lines


def copy_as_cloned(folder: Path) -> None:
    """Make the folder hold what git knows or would add, and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = REPOSITORY / name, folder / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def make_images(project: Project, steps: Steps) -> None:
    """Make the stand-ins and build the project's own images, as `docker compose build` would."""
    builds = project.list_builds()
    own = {image for image, _ in builds}
    bases = {base for _, build in builds for base in list_bases(_dockerfile(build))}
    named = {service["image"] for service in project.services.values() if "image" in service}
    engine = project.engine
    make_stand_ins(engine, steps, engine.place, bases | named - own)
    for image, build in builds:
        steps.run(
            f"image {image}",
            engine.command(*_build_options(image, build), build["context"]),
            environment=engine.environment,
            timeout_s=_BUILD_S,
        )


def _dockerfile(build: dict[str, Any]) -> Path:
    return Path(build["context"]) / str(build.get("dockerfile", "Dockerfile"))


def _build_options(image: str, build: dict[str, Any]) -> Iterator[str]:
    yield from ("build", "--tag", image, "--file", str(_dockerfile(build)))
    if "target" in build:
        yield from ("--target", build["target"])
    for name, value in build.get("args", {}).items():
        yield from ("--build-arg", f"{name}={value}")
