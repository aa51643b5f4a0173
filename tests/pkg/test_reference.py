"""What documents say of metrics, settings, errors and RPCs is what the code says."""

import re
from functools import reduce

import pytest

from pkg.settings import DEFAULT_CONFIG_DIR, read_section
from scripts.reference.documents import PARTS, find_stale, list_documents, list_parts, write_parts
from scripts.reference.metric_table import list_metrics, metric_labels, metric_name
from scripts.reference.settings_tables import list_sections, list_settings
from scripts.stack.site import REPOSITORY

# Each takes a handful of values, whatever people send.
BOUNDED_LABELS = {
    "code",
    "dependency",
    "fault",
    "job",
    "kind",
    "lane",
    "limit",
    "loop",
    "method",
    "operation",
    "outcome",
    "process",
    "program",
    "python",
    "queue",
    "role",
    "route",
    "service",
    "state",
    "status",
    "version",
}
UNITS = {
    "number": ("_s", "_factor", "_ratio"),
    "integer": ("_s", "_mb", "port", "_per_s", "_per_min", "_messages", "_requests", "_days"),
}
COUNTED = ("max_", "retention_files", "pool_connections", "flush_batch_actions")
DOCUMENTS = [path for path in list_documents() if list_parts(path)]
SETTINGS = [
    setting
    for name, (model, _) in list_sections().items()
    for setting in list_settings(name, model)
]
# `section.key`, and the number in front of a unit where one follows; names of files, queues and certificates are none.
NAMED_SETTING = re.compile(
    rf"`({'|'.join(list_sections())})\.(?!(?:py|md|yml|proto|dead|sh|dousheng)`)([a-z_.]+)`(?: \(?([0-9.]+)(?: s\b|\)))?"
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_document_says_what_the_code_says(path):
    """Where it does not: scripts/documents writes it anew."""
    assert find_stale(path) == []


@pytest.mark.parametrize(
    "path", list_documents(), ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_a_setting_that_a_document_names_exists_and_has_the_value_that_follows(path):
    for section, key, value in NAMED_SETTING.findall(path.read_text()):
        shipped: object = reduce(
            dict.__getitem__, key.split("."), read_section(DEFAULT_CONFIG_DIR, section)
        )

        assert not value or float(value) == shipped, f"{section}.{key}"


def test_every_part_stands_in_one_document():
    stated = [name for path in DOCUMENTS for name in list_parts(path)]

    assert sorted(stated) == sorted(PARTS)


def test_a_stale_part_is_written_and_the_rest_stays(tmp_path):
    document = tmp_path / "README.md"
    document.write_text(
        "before\n<!-- made by scripts/documents: rpcs -->\nold\n<!-- end -->\nafter\n"
    )
    assert find_stale(document) == ["rpcs"]

    write_parts(document)

    assert find_stale(document) == []
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "MessageStream" in text


@pytest.mark.parametrize("metric", [metric for _, metric in list_metrics()], ids=metric_name)
def test_a_metric_keeps_the_conventions_of_prometheus(metric):
    name = metric_name(metric)

    (described,) = metric.describe()
    assert name.startswith("dousheng_")
    assert name.endswith("_total") == (described.type == "counter")
    assert described.type != "histogram" or name.endswith("_seconds")
    assert set(metric_labels(metric)) <= BOUNDED_LABELS


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.variable)
def test_a_setting_has_a_meaning_and_a_unit(setting):
    key = setting.path[-1]

    assert setting.meaning.endswith(".")
    if units := UNITS.get(setting.schema.get("type", "")):
        assert key.endswith(units) or key.startswith(COUNTED)
