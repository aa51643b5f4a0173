"""`latest_time` as it comes from the field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.parameters import CLOCK_SKEW_MS, EARLIEST_MS, parse_latest_time
from pkg.clock import now_ms

past_times = st.integers(EARLIEST_MS, now_ms())


@given(past_times)
def test_latest_time_means_the_same_in_milliseconds_and_microseconds(at_ms: int) -> None:
    assert parse_latest_time(str(at_ms)) == at_ms
    assert parse_latest_time(str(at_ms * 1000 + 999)) == at_ms


@given(past_times)
def test_latest_time_in_seconds_means_their_beginning_or_its_fraction(at_ms: int) -> None:
    seconds = at_ms // 1000

    assert parse_latest_time(f" {seconds} ") == seconds * 1000
    assert parse_latest_time(f"{seconds}.{at_ms % 1000:03}") == at_ms


@given(st.integers(CLOCK_SKEW_MS + 60_000, 10**15))
def test_latest_time_far_in_the_future_is_now(ahead_ms: int) -> None:
    later_ms = now_ms() + ahead_ms

    # A unit is judged by magnitude: what is later than the year 5138 cannot be told from a smaller unit.
    if later_ms < 10**14:
        assert parse_latest_time(str(later_ms)) == 0
        assert parse_latest_time(str(later_ms // 1000)) == 0
        assert parse_latest_time(str(later_ms * 1000)) == 0


@given(st.text())
def test_any_text_as_latest_time_is_a_sensible_time_or_now(text: str) -> None:
    parsed = parse_latest_time(text)

    assert parsed == 0 or EARLIEST_MS <= parsed <= now_ms() + CLOCK_SKEW_MS


@pytest.mark.parametrize(
    "junk",
    ["", "0", "-1", "-1700000000", "abc", "1.5e9", "NaN", "inf", "１７", "1" * 400, "0x5", "7"],
)
def test_latest_time_that_makes_no_sense_is_now(junk: str) -> None:
    assert parse_latest_time(junk) == 0
