"""scripts/README.md tells of each server what its outage means to a user, and of no other."""

import re

from scripts.stack.site import REPOSITORY
from tests.faults.test_server_outages import FAILS, GOES_ON


def test_the_table_has_a_row_for_each_server_whose_outage_is_played() -> None:
    text = (REPOSITORY / "scripts" / "README.md").read_text()
    table = text.partition("### What an outage means to a user")[2].partition("\n\nRows and")[0]

    rows = re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE)

    assert set(rows) == set(GOES_ON) == set(FAILS)


def test_nothing_both_goes_on_and_fails() -> None:
    assert not {name for name in GOES_ON if GOES_ON[name] & FAILS[name]}
