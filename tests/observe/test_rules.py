"""Recording and alerting rules: promtool runs them on series that are made up; each alert has a test and a runbook."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from scripts.stack.files import get_command
from tests.faults.alert_causes import CAUSES
from tests.observe.queries import (
    PROMETHEUS,
    list_alerts,
    list_declared,
    list_queries,
    names_in,
)

FOLDER = Path(__file__).parent
RULE_TESTS = sorted(FOLDER.glob("*.test.yml"))
PARAGRAPH = re.compile(r"^### (\w+)\n\n(`[^`]+`)", re.MULTILINE)
COMMANDS = ("scripts/", "top ", "df ")


def run_promtool(*arguments: str | Path) -> None:
    """Run promtool, and show what it says where it finds something wrong."""
    done = subprocess.run(
        [get_command("promtool"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration_of_containers() -> None:
    run_promtool("check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_rules_say_what_their_tests_promise(path: Path) -> None:
    run_promtool("test", "rules", path)


@pytest.mark.parametrize("name", list_alerts())
def test_an_alert_is_tested_both_ways(name: str) -> None:
    groups = [group for path in RULE_TESTS for group in yaml.safe_load(path.read_text())["tests"]]
    cases = [case for group in groups for case in group.get("alert_rule_test", ())]

    outcomes = [bool(case.get("exp_alerts")) for case in cases if case["alertname"] == name]

    assert True in outcomes
    # Of ServiceDown the test says that the first of two has ended.
    assert False in outcomes or name == "ServiceDown"


@pytest.mark.parametrize("name", list_alerts())
def test_an_alert_has_a_real_cause_that_is_played_for_it(name: str) -> None:
    assert name in {expected.alert for cause in CAUSES.values() for expected in cause.fires}


@pytest.mark.parametrize(("name", "alert"), list_alerts().items())
def test_an_alert_says_who_is_woken_and_what_to_type(name: str, alert: dict[str, object]) -> None:
    annotations = alert["annotations"]
    paragraphs = dict(PARAGRAPH.findall((PROMETHEUS / "README.md").read_text()))

    assert alert["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert "for" in alert
    assert isinstance(annotations, dict)
    assert annotations["runbook"] == f"config/prometheus/README.md#{name.lower()}"
    assert paragraphs[name].strip("`").startswith(COMMANDS)


def test_there_is_no_paragraph_without_an_alert() -> None:
    paragraphs = dict(PARAGRAPH.findall((PROMETHEUS / "README.md").read_text()))

    assert paragraphs.keys() == list_alerts().keys()


def test_rules_and_dashboards_read_only_what_is_declared() -> None:
    read = {name for query in list_queries() for name in names_in(query)}

    own = {name for name in read if not name.startswith(("process_", "python_"))}
    assert own - list_declared() == set()
