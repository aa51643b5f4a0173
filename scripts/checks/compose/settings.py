"""What the containers of the product are told: their own code can read it, and whom it names can be reached."""

import importlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from pkg.settings import ENV_PREFIX, ProcessSettings, SettingsError
from scripts.checks.compose.project import Project, Service, is_module, list_secrets
from scripts.reference.settings_tables import Setting, list_sections, list_settings
from scripts.stack.servers.nginx import find_most_body_mb, find_upload_timeout_s

_ADDRESS = re.compile(r"([a-z][a-z0-9-]*):(\d{2,5})\b")
_SECRET = re.compile(r"/run/secrets/(\w+)")
_PLACEHOLDER = re.compile(r"\$\{(NGINX_\w+)\}")
# The ports of servers; those of the product are in config/*.yml.
_PORTS = {
    "mysql": 3306,
    "redis": 6379,
    "rabbitmq": 5672,
    "etcd": 2379,
    "seaweedfs": 8333,
}


def find_problems(project: Project) -> list[str]:
    """Return every violation."""
    found = [*_find_wrong_nginx_values(project)]
    for name, service in project.services.items():
        told = project.environment_of(service)
        found += [f"{name}: {problem}" for problem in _find_unreadable(project, service, told)]
        found += [f"{name}: {problem}" for problem in _find_unreachable(project, service, told)]
        found += [f"{name}: {problem}" for problem in _find_wrong_health(name, service)]
        found += [
            f"{name}: is told of the secret {secret}, which it does not get"
            for value in told.values()
            for secret in _SECRET.findall(value)
            if secret not in list_secrets(service).values()
        ]
    return found


def _find_unreadable(project: Project, service: Service, told: Mapping[str, str]) -> Iterator[str]:
    """Read the settings as the process does."""
    known = [f"{setting.variable}__" for setting in _list_all_settings()]
    named = [name for name in service.get("environment") or {} if name.startswith(ENV_PREFIX)]
    for name in named:
        # A mapping may be given as a whole.
        if not any(variable.startswith(f"{name}__") for variable in known):
            yield f"{name} is no setting"
    settings = _find_settings_class(service)
    if settings is None:
        return
    try:
        with _environment(told):
            settings.load(project.root / "config")
    except SettingsError as exc:
        problems = str(exc).splitlines()
        # Secrets are in containers only.
        told_wrong = [problem for problem in problems if "cannot read" not in problem]
        if told_wrong != problems[:1] or len(problems) == 1:
            yield "\n".join(told_wrong)


@cache
def _list_all_settings() -> list[Setting]:
    return [
        setting
        for section, (model, _) in list_sections().items()
        for setting in list_settings(section, model)
    ]


def _find_settings_class(service: Service) -> type[ProcessSettings] | None:
    """Return what the module of the command reads, None where it is no process of the product."""
    if not str(service.get("image", "")).startswith("dousheng") or "command" not in service:
        return None
    command = service["command"][0]
    modules = [name for name in (f"{command}.settings", command) if is_module(name)]
    declared = vars(importlib.import_module(modules[0])).values() if modules else ()
    own = [item for item in declared if getattr(item, "__module__", None) == modules[0]]
    classes = [item for item in own if isinstance(item, type) and issubclass(item, ProcessSettings)]
    return classes[0] if classes else None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _find_unreachable(project: Project, service: Service, told: Mapping[str, str]) -> Iterator[str]:
    for host, port in _list_addresses(told):
        target = project.services.get(host)
        if target is None:
            yield f"{host}:{port} is no service"
        elif not set(target.get("networks", [])) & set(service.get("networks", [])):
            yield f"shares no network with {host}"
        elif port != _find_port(host, target):
            yield f"{host} listens on {_find_port(host, target)}, not {port}"


def _list_addresses(told: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for name, value in told.items():
        if name.startswith((ENV_PREFIX, "NGINX_GATEWAY", "NGINX_STORAGE")):
            yield from ((host, int(port)) for host, port in _ADDRESS.findall(value))
        if name.startswith(ENV_PREFIX) and name.endswith("__HOST") and value != "0.0.0.0":  # noqa: S104 - compared only
            yield value, int(told[name.removesuffix("HOST") + "PORT"])


def _find_wrong_health(name: str, service: Service) -> Iterator[str]:
    """Compare the port that a service is asked on with its own."""
    asked = str((service.get("healthcheck") or {}).get("test"))
    for port in re.findall(r"127\.0\.0\.1:(\d+)", asked):
        listens = _find_port(name, service)
        if listens is not None and int(port) != listens:
            yield f"is asked for its health on {port}, listens on {listens}"


def _find_port(name: str, service: Service) -> int | None:
    """Return where a service of the file listens, None where nobody knows."""
    image = str(service.get("image", "")).rpartition(":")[0].rpartition("/")[2]
    if image in _PORTS:
        return _PORTS[image]
    for setting in _list_all_settings():
        if setting.section == name and setting.path == ("port",):
            return int(setting.default)
    return None


def _find_wrong_nginx_values(project: Project) -> Iterator[str]:
    """Every placeholder of the templates has a value, and those that follow from config/ are right."""
    told = project.environment_of(project.services["nginx"])
    config = project.root / "config"
    templates = sorted((config / "nginx").glob("*.template"))
    for template in templates:
        # Containers resolve names.
        wanted = _PLACEHOLDER.findall(template.read_text()) if "listed" not in template.name else []
        yield from (f"nginx: {template.name} wants {name}" for name in wanted if name not in told)
    expected = {
        "NGINX_MAX_BODY_MB": find_most_body_mb(config),
        "NGINX_UPLOAD_TIMEOUT_S": find_upload_timeout_s(config),
    }
    for name, value in expected.items():
        if told.get(name) != str(value):
            yield f"nginx: {name} is {told.get(name)}, not {value}, which follows from config/"
