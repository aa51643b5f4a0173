"""The queries that rules and dashboards hold, and the names in them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from scripts.reference.metric_table import list_metrics, metric_name
from scripts.stack.site import REPOSITORY

PROMETHEUS = REPOSITORY / "config" / "prometheus"
DASHBOARDS = REPOSITORY / "config" / "grafana" / "dashboards"
RULE_FILES = (PROMETHEUS / "recording.yml", PROMETHEUS / "alerts.yml")
_STRINGS = re.compile(r'"[^"]*"')
_NAME = re.compile(r"\b(?:dousheng_\w+|(?:slo|route|dependency):[\w:]+|(?:process|python)_\w+)")
# What Grafana fills in.
_INTERVAL = re.compile(r"\$__(?:rate_)?interval|\$__range")


def list_rules() -> list[dict[str, Any]]:
    """Return every recording and alerting rule."""
    groups = [group for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def list_alerts() -> dict[str, dict[str, Any]]:
    """Return the alerting rules by name."""
    return {rule["alert"]: rule for rule in list_rules() if "alert" in rule}


def list_dashboards() -> dict[str, dict[str, Any]]:
    """Return every dashboard by the name of its file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def list_panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a dashboard shows, rows aside."""
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def list_panel_queries(panel: dict[str, Any]) -> list[str]:
    """Return a panel's queries as Prometheus gets them."""
    found = (target["expr"] for target in panel.get("targets", ()))
    return [_INTERVAL.sub("1m", query) for query in found]


def list_queries() -> list[str]:
    """Return every query of every rule and dashboard."""
    panels = [panel for board in list_dashboards().values() for panel in list_panels(board)]
    return [
        *(rule["expr"] for rule in list_rules()),
        *(query for panel in panels for query in list_panel_queries(panel)),
    ]


def names_in(query: str) -> set[str]:
    """Return the names of the series that a query reads."""
    return set(_NAME.findall(_STRINGS.sub('""', query)))


def list_declared() -> set[str]:
    """Return the names of all series that the code and the recording rules make."""
    names = {rule["record"] for rule in list_rules() if "record" in rule}
    for _, metric in list_metrics():
        name = metric_name(metric)
        (described,) = metric.describe()
        parts = ("_bucket", "_count", "_sum") if described.type == "histogram" else ("",)
        names |= {name + part for part in parts}
    return names
