"""Where the engine is told to send the product's logs: everybody's, to a collector that listens, and without waiting for it."""

from collections.abc import Iterator, Mapping

import yaml

from scripts.checks.compose.project import Project, Service

DRIVER = "fluentd"
EDGE = "nginx"
COLLECTOR = "otel-collector"


def find_problems(project: Project) -> list[str]:
    """Return every violation, of a project whose logs are sent."""
    listening = set(_list_addresses(project))
    return [
        f"{name}: {problem}"
        for name, service in project.services.items()
        if _is_shipped(name, service)
        for problem in _find_problems_of(service.get("logging") or {}, listening)
    ]


def _is_shipped(name: str, service: Service) -> bool:
    """Say whether it is a process of the product that goes on running, or what stands in front of it."""
    return name == EDGE or service.get("command", [""])[0].startswith(("services.", "gateway"))


def _find_problems_of(logging: Mapping[str, object], listening: set[str]) -> Iterator[str]:
    if logging.get("driver") != DRIVER:
        yield f"its log is not sent: the driver is {logging.get('driver')}"
        return
    options = logging.get("options")
    assert isinstance(options, Mapping)
    if options.get("fluentd-async") != "true":
        yield "it would not start while the collector is down: fluentd-async is not true"
    if options.get("fluentd-address") not in listening:
        yield f"nobody listens on {options.get('fluentd-address')}, where its log is sent"


def _list_addresses(project: Project) -> Iterator[str]:
    """Yield where on the machine the collector takes logs: what is published of the port on which it listens for them."""
    config = yaml.safe_load((project.root / "config/collector/collector.yml").read_text())
    endpoint: str = config["receivers"]["fluent_forward"]["endpoint"]
    taken = endpoint.rpartition(":")[2]
    for published in project.services[COLLECTOR].get("ports", []):
        address, _, port = str(published).rpartition(":")
        if port == taken:
            yield address
