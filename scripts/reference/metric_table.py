"""The table of all Prometheus metrics, made from the modules that declare them."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from scripts.reference.tables import render_table
from scripts.stack.site import REPOSITORY

PACKAGES = ("pkg", "services", "gateway")


def list_metrics() -> Iterator[tuple[str, MetricWrapperBase]]:
    """Return every metric of the product with the module that declares it."""
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("metrics.py")):
            module = _module_name(path)
            declared = vars(importlib.import_module(module)).values()
            yield from ((module, it) for it in declared if isinstance(it, MetricWrapperBase))


def metric_name(metric: MetricWrapperBase) -> str:
    """Return the name under which Prometheus stores it; a histogram's series have suffixes of their own."""
    (described,) = metric.describe()
    return described.name + ("_total" if described.type == "counter" else "")


def metric_labels(metric: MetricWrapperBase) -> tuple[str, ...]:
    """Return the names of its labels."""
    # The client offers no other way to ask for them.
    return tuple(metric._labelnames)


def render_metric_table() -> str:
    """Return all metrics in Markdown: name, type, labels, meaning."""
    rows = []
    for module, metric in list_metrics():
        (described,) = metric.describe()
        labels = ", ".join(f"`{label}`" for label in metric_labels(metric))
        place = module.replace(".", "/") + ".py"
        rows.append(
            (f"`{metric_name(metric)}`", described.type, labels, described.documentation, place)
        )
    return render_table(("Metric", "Type", "Labels", "Meaning", "Declared in"), rows)


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
