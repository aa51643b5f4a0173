"""Whether Prometheus asks every process of the product for its metrics, where it shows them."""

from collections.abc import Iterator
from typing import Any

import yaml

from pkg.settings import read_section
from scripts.checks.compose.project import Project
from scripts.stack.ports import SERVICES

PROMETHEUS_FILE = "config/prometheus/prometheus.yml"


def find_problems(project: Project) -> list[str]:
    """Return every violation."""
    return [*find_wrong_targets((project.root / PROMETHEUS_FILE).read_text(), project)]


def find_wrong_targets(text: str, project: Project) -> Iterator[str]:
    """Compare what a configuration of Prometheus asks with the ports in config/*.yml."""
    expected = {
        name: read_section(project.root / "config", name)["metrics_port"] for name in SERVICES
    }
    expected["gateway"] = read_section(project.root / "config", "gateway")["port"]
    loaded: dict[str, Any] = yaml.safe_load(text)
    asked = {
        name: found["port"]
        for job in loaded["scrape_configs"]
        for found in job["dns_sd_configs"]
        for name in found["names"]
    }
    for name in sorted(expected.keys() | asked.keys()):
        if asked.get(name) != expected.get(name):
            yield f"{PROMETHEUS_FILE}: {name} is asked on {asked.get(name)}, shows metrics on {expected.get(name)}"
