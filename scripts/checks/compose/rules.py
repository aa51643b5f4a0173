"""What every service of the file has to have, and what has to exist that it names."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from scripts.checks.compose.project import Project, Service, is_module, list_secrets

# Its name, or where it comes from, and a version with a number in it.
_PINNED = re.compile(r"[\w./-]+:(?=[\w.-]*\d)(?!latest)[\w.-]+")
_OWN_IMAGE = re.compile(r"dousheng(-media)?:\$\{IMAGE_TAG:\?[^}]+\}")
_SECONDS = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")
# What a service of the product may need to stop: see the deadlines in config/README.md.
LEAST_GRACE_S = 25
OUTSIDE_NETWORK = "edge"
PUBLISHED = "nginx"
# Those that are root, to give folders away and to look into processes: they may do nothing else and reach nobody.
ROOTS: Mapping[str, Mapping[str, Any]] = {
    "folders": {"cap_add": ["CHOWN"], "network_mode": "none"},
    "profiler": {"cap_add": ["SYS_PTRACE"], "network_mode": "none", "pid": "host"},
}
_HARDENED = {
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "read_only": True,
    "init": True,
}
# `container_name` would keep a service from having a second container.
_FORBIDDEN = {"privileged", "pid", "ipc", "devices", "container_name", "links", "userns_mode"}
_PROFILES_ON_LOOPBACK = {"dev", "observe"}

Rule = Callable[[Project], Iterator[str]]


def find_problems(project: Project) -> list[str]:
    """Return every violation of every rule below."""
    return [problem for rule in RULES for problem in rule(project)]


def variables_are_made(project: Project) -> Iterator[str]:
    """Every variable is one that set-up makes, and is refused where it is missing; nothing is made in vain."""
    made = project.made.variables
    named = {variable.name for variable in project.list_variables()}
    for variable in {(item.name, item.rest) for item in project.list_variables()}:
        name, rest = variable
        if name not in made:
            yield f"${name} is not made by scripts/setup --compose"
        if not rest.startswith((":?", "?")):
            yield f"${name} has no `:?message`: without .env it would be empty"
    handed_on = {
        name
        for service in project.services.values()
        for name, value in (service.get("environment") or {}).items()
        if value is None
    }
    for name in sorted(made.keys() - named - handed_on):
        yield f"scripts/setup --compose makes {name}, which docker-compose.yml does not use"


def services_are_hardened(project: Project) -> Iterator[str]:
    """Nobody is root, writes where it should not, gets rights, or takes the whole machine."""
    for name, service in project.services.items():
        for key, value in _HARDENED.items():
            if service.get(key) != value:
                yield f"{name}: {key} is not {value}"
        for key in sorted(_FORBIDDEN & service.keys() - ROOTS.get(name, {}).keys()):
            yield f"{name}: has {key}"
        yield from _find_excess_of_rights(name, service)


def _find_excess_of_rights(name: str, service: Service) -> Iterator[str]:
    if rights := ROOTS.get(name):
        if {key: service.get(key) for key in rights} != rights:
            yield f"{name}: is root and more than it needs"
        return
    user = str(service.get("user", "root")).partition(":")[0]
    if user in {"0", "root"} or service.keys() & {"cap_add", "network_mode"}:
        yield f"{name}: is root, has capabilities, or a network of its own kind"


def services_are_limited(project: Project) -> Iterator[str]:
    """Nobody takes the whole machine, and whoever dies is started again, or not, by decision."""
    for name, service in project.services.items():
        if "restart" not in service:
            yield f"{name}: has no restart policy"
        if "max-size" not in service.get("logging", {}).get("options", {}):
            yield f"{name}: its log grows without a limit"
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        for key in sorted({"cpus", "memory", "pids"} - limits.keys()):
            yield f"{name}: has no limit of {key}"


def only_nginx_is_published(project: Project) -> Iterator[str]:
    """One service is reached from outside; profiles may publish to this machine."""
    for name, service in project.services.items():
        ports = [str(port) for port in service.get("ports", [])]
        local = bool(_PROFILES_ON_LOOPBACK & set(service.get("profiles", [])))
        if (
            ports
            and name != PUBLISHED
            and not (local and all(port.startswith("127.0.0.1:") for port in ports))
        ):
            yield f"{name} publishes {ports}"
        if OUTSIDE_NETWORK in service.get("networks", []) and name != PUBLISHED and not local:
            yield f"{name} is in the network {OUTSIDE_NETWORK}"
    for name, network in (project.content.get("networks") or {}).items():
        if name != OUTSIDE_NETWORK and "internal" not in (network or {}):
            yield f"the network {name} is not internal"


def images_are_pinned(project: Project) -> Iterator[str]:
    """Every image is ours or has a version."""
    for name, service in project.services.items():
        image = service.get("image", "")
        if not (_PINNED.fullmatch(image) or _OWN_IMAGE.fullmatch(image)):
            yield f"{name}: the image {image!r} has no version"


def dependencies_hold(project: Project) -> Iterator[str]:
    """Who waits for health waits for somebody who has a check, and who waits for an end for somebody who ends."""
    for name, service in project.services.items():
        for other, wanted in (service.get("depends_on") or {}).items():
            target = project.services.get(other)
            condition = wanted["condition"]
            if target is None:
                yield f"{name} depends on {other}, which does not exist"
            elif condition == "service_healthy" and "healthcheck" not in target:
                yield f"{name} waits for the health of {other}, which has no check"
            elif condition == "service_completed_successfully" and target.get("restart") != "no":
                yield f"{name} waits for the end of {other}, which is started again"


def health_is_asked(project: Project) -> Iterator[str]:
    """Whatever goes on running says how it is, by a module that exists or a program of its image."""
    for name, service in project.services.items():
        test = (service.get("healthcheck") or {}).get("test", [])
        if service.get("restart") != "no" and not test:
            yield f"{name} has no health check"
        if test and test[0] not in {"CMD", "CMD-SHELL"}:
            yield f"{name}: the health check is not of the form [CMD, …]"
        if test[1:3] == ["python", "-m"]:
            yield from _find_missing_module(name, test[3])


def commands_exist(project: Project) -> Iterator[str]:
    """The modules that our images run are there, and the targets that are built."""
    for name, service in project.services.items():
        if _OWN_IMAGE.fullmatch(service.get("image", "")) and "entrypoint" not in service:
            for module in service.get("command", [])[:1]:
                yield from _find_missing_module(name, module)
        if build := service.get("build"):
            text = (project.root / build["dockerfile"]).read_text()
            if not re.search(rf"^FROM .+ AS {build['target']}$", text, re.MULTILINE):
                yield f"{name}: {build['dockerfile']} has no target {build['target']}"


def _find_missing_module(name: str, module: str) -> Iterator[str]:
    if not (is_module(module) or is_module(f"{module}.__main__")):
        yield f"{name}: there is no module {module} to run"


def services_have_time_to_stop(project: Project) -> Iterator[str]:
    """Docker kills nobody who still finishes calls."""
    for name, service in project.services.items():
        if service.get("command", [""])[0].startswith(("services.", "gateway")):
            grace = _SECONDS.fullmatch(service.get("stop_grace_period", "10s"))
            seconds = int(grace[1] or 0) * 60 + int(grace[2] or 0) if grace else 0
            if seconds < LEAST_GRACE_S:
                yield f"{name}: is killed after {seconds} s, {LEAST_GRACE_S} are needed"


def files_exist(project: Project) -> Iterator[str]:
    """Every mounted file is in the repository, every volume and secret declared, used, and made."""
    content = project.content
    used: set[str] = set()
    for name, service in project.services.items():
        for volume in service.get("volumes", []):
            source = str(volume).partition(":")[0]
            if source.startswith("."):
                if not (project.root / source).exists():
                    yield f"{name}: {source} does not exist"
                if not str(volume).endswith(":ro"):
                    yield f"{name}: could write to {source}"
            else:
                used.add(f"volumes {source}")
        used |= {f"secrets {secret}" for secret in list_secrets(service)}
        used |= {f"networks {network}" for network in service.get("networks", [])}
    declared = {
        f"{kind} {name}"
        for kind in ("volumes", "secrets", "networks")
        for name in content.get(kind) or {}
    }
    for item in sorted(used ^ declared):
        yield f"{item} is declared and not used, or used and not declared"
    yield from _find_secrets_that_nobody_makes(content["secrets"], project.made.secrets)


def _find_secrets_that_nobody_makes(
    secrets: Mapping[str, Any], made: frozenset[str]
) -> Iterator[str]:
    for name, secret in secrets.items():
        if secret["file"].removeprefix(".secrets/") not in made:
            yield f"secret {name}: set-up makes no {secret['file']}"


RULES: tuple[Rule, ...] = (
    variables_are_made,
    services_are_hardened,
    services_are_limited,
    only_nginx_is_published,
    images_are_pinned,
    dependencies_hold,
    health_is_asked,
    commands_exist,
    services_have_time_to_stop,
    files_exist,
)
