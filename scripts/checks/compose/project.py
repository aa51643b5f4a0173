"""docker-compose.yml and what set-up makes for it, as the rules look at them."""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from scripts.checks.sources import REPOSITORY
from scripts.stack.authority import Authority, list_subjects

COMPOSE_FILE = "docker-compose.yml"
TLS_FILE = "dockerfiles/compose.tls.yml"
LOGS_FILE = "dockerfiles/compose.logs.yml"
SETUP_FILE = "scripts/compose/make_environment.sh"
# `$$` is a dollar sign for the container's own shell.
_VARIABLE = re.compile(r"(?<!\$)\$(?:\{(?P<name>\w+)(?P<rest>[^}]*)\}|(?P<bare>\w+))")

Service = Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """What set-up leaves beside a checkout."""

    variables: Mapping[str, str]
    # Below .secrets: folders of keys, and the certificates of `scripts/certificates`.
    secrets: frozenset[str]


@dataclass(frozen=True)
class Variable:
    """A variable that the file names, and what stands behind its name, such as `:?message`."""

    name: str
    rest: str


@dataclass(frozen=True)
class Project:
    """The file, and what set-up makes for it."""

    content: Mapping[str, Any]
    text: str
    made: Made
    root: Path = REPOSITORY

    @property
    def services(self) -> Mapping[str, Service]:
        """Every service, those of profiles too."""
        found: dict[str, Service] = self.content["services"]
        return found

    def list_variables(self) -> Iterator[Variable]:
        """Yield the variables of the file, comments aside, as often as they stand there."""
        lines = (line for line in self.text.splitlines() if not line.lstrip().startswith("#"))
        for match in _VARIABLE.finditer("\n".join(lines)):
            yield Variable(match["name"] or match["bare"], match["rest"] or "")

    def fill(self, text: str) -> str:
        """Return a text of the file as a container gets it, with the variables that set-up makes."""
        made = self.made.variables
        filled = _VARIABLE.sub(lambda match: made.get(match["name"] or match["bare"], ""), text)
        return filled.replace("$$", "$")

    def environment_of(self, service: Service) -> dict[str, str]:
        """Return what a container finds in its environment; what is only handed on is left out where nobody sets it."""
        made = self.made.variables
        return {
            name: self.fill(str(value)) if value is not None else made[name]
            for name, value in (service.get("environment") or {}).items()
            if value is not None or name in made
        }


def read_project(root: Path = REPOSITORY) -> Project:
    """Return the repository's own."""
    return parse_project((root / COMPOSE_FILE).read_text(), run_setup(root), root)


def parse_project(text: str, made: Made, root: Path = REPOSITORY) -> Project:
    """Return what a file says; its anchors are merged, its variables not filled in."""
    # The loader in C is ten times as fast.
    return Project(yaml.load(text, yaml.CSafeLoader), text, made, root)


def with_overlay(project: Project, name: str, overlay: str) -> Project:
    """Return the project with a second file of this name on top of it, merged as Compose does.

    Raises:
        ValueError: it names services that the project does not have.
    """
    added = yaml.load(overlay, yaml.CSafeLoader)
    services = {
        key: _merge(service, added["services"].get(key, {}))
        for key, service in project.services.items()
    }
    unknown = added["services"].keys() - services.keys()
    if unknown:
        raise ValueError(f"{name} names services that do not exist: {', '.join(unknown)}")
    content = {
        **project.content,
        "services": services,
        "secrets": {**project.content["secrets"], **added.get("secrets", {})},
    }
    return replace(project, content=content, text=project.text + overlay)


def _merge(service: Service, added: Service) -> Service:
    """Mappings are joined, lists put behind each other; the rest is replaced."""
    merged = {**service, **added}
    for key in service.keys() & added.keys():
        if isinstance(added[key], Mapping):
            merged[key] = {**service[key], **added[key]}
        elif isinstance(added[key], list):
            merged[key] = [*service[key], *added[key]]
    return merged


def list_secrets(service: Service) -> dict[str, str]:
    """Return the secrets that a service gets, each with the name of its file or folder in the container."""
    named = [
        {"source": item} if isinstance(item, str) else item for item in service.get("secrets", [])
    ]
    return {item["source"]: item.get("target", item["source"]) for item in named}


def run_setup(root: Path = REPOSITORY) -> Made:
    """Return what set-up makes where nothing is yet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / SETUP_FILE).parent.mkdir(parents=True)
        shutil.copyfile(root / SETUP_FILE, folder / SETUP_FILE)
        shutil.copytree(root / "config", folder / "config")
        subprocess.run(
            ["bash", folder / SETUP_FILE], check=True, capture_output=True, text=True, timeout=60
        )
        lines = (folder / ".env").read_text().splitlines()
        settings = (line.partition("=") for line in lines if line and not line.startswith("#"))
        variables = {name: value.strip("'") for name, _, value in settings}
        folders = frozenset(path.parent.name for path in (folder / ".secrets").glob("*/*.pem"))
    return Made(variables, folders | _list_certificates())


def _list_certificates() -> frozenset[str]:
    authority = Authority(Path("certificates"))
    pairs = [authority.pair(name) for name in ("ca", *(item.name for item in list_subjects({})))]
    return frozenset(str(path) for pair in pairs for path in (pair.certificate, pair.key))


def is_module(name: str) -> bool:
    """Say whether there is a file of that name to run; a package is none."""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return False
    return found is not None and found.submodule_search_locations is None
