"""Dashboards: what Grafana would refuse or show empty."""

from typing import Any

import pytest
import yaml

from scripts.stack.site import REPOSITORY
from tests.observe.queries import (
    list_dashboards,
    list_panel_queries,
    list_panels,
    list_queries,
    list_rules,
    names_in,
)

FLOWS = {"feed", "publish", "actions", "chat"}
PROVISIONING = REPOSITORY / "config" / "grafana" / "provisioning"
GRID_COLUMNS = 24
BOARDS = list_dashboards()
EVERY_BOARD = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def test_there_is_an_overview_one_for_each_flow_and_one_for_servers() -> None:
    assert BOARDS.keys() == {"overview", "servers"} | FLOWS


def test_dashboards_can_be_told_apart() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)


@EVERY_BOARD
def test_every_panel_has_a_title_a_unit_and_a_query_of_a_known_source(
    board: dict[str, Any],
) -> None:
    sources = yaml.safe_load((PROVISIONING / "datasources" / "datasources.yml").read_text())
    known = {source["uid"] for source in sources["datasources"]}

    for panel in list_panels(board):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert list_panel_queries(panel)
        assert panel["datasource"]["uid"] in known
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


@EVERY_BOARD
def test_no_panel_covers_another_or_leaves_the_page(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= GRID_COLUMNS
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_recorded_series_is_read() -> None:
    read = {name for query in list_queries() for name in names_in(query)}

    assert {rule["record"] for rule in list_rules() if "record" in rule} - read == set()
