"""What counts as a crowd: only what many people make who act at the same time."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from services.actions.load import (
    LASTS_S,
    QUIET_ACTIONS,
    QUIET_ACTIONS_PER_S,
    QUIET_PEOPLE,
    ActionLoad,
)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass; otherwise time stands still."""
    now_s = 1000.0

    def pass_time(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr("services.actions.load.time.monotonic", lambda: now_s)
    return pass_time


def act(load: ActionLoad, *user_ids: int) -> None:
    """Let them act at the same moment."""
    with ExitStack() as together:
        for user_id in user_ids:
            together.enter_context(load.under_way(user_id))


def test_many_people_one_after_the_other_are_no_crowd(later):
    load = ActionLoad()

    for user_id in range(QUIET_ACTIONS_PER_S):
        act(load, user_id)

    assert load.is_quiet


def test_a_few_people_who_meet_again_and_again_are_no_crowd(later):
    load = ActionLoad()

    for _ in range(QUIET_ACTIONS_PER_S):
        act(load, *range(QUIET_ACTIONS))

    assert load.is_quiet


def test_many_people_of_whom_two_met_are_a_crowd_for_a_second(later):
    load = ActionLoad()
    for user_id in range(QUIET_PEOPLE - 1):
        act(load, user_id)
    act(load, QUIET_PEOPLE - 1, QUIET_PEOPLE)

    assert not load.is_quiet
    later(LASTS_S + 0.01)
    assert load.is_quiet


def test_many_at_the_same_moment_are_a_crowd_for_a_second(later):
    load = ActionLoad()

    act(load, *[1] * (QUIET_ACTIONS + 1))

    assert not load.is_quiet
    later(LASTS_S + 0.01)
    assert load.is_quiet


def test_many_that_a_flush_found_are_a_crowd_whoever_accepted_them(later):
    load = ActionLoad()
    load.add_flushed(QUIET_ACTIONS_PER_S)
    assert load.is_quiet

    load.add_flushed(1)

    assert not load.is_quiet
    later(LASTS_S + 0.01)
    assert load.is_quiet


def test_who_acted_a_second_ago_is_forgotten(later):
    load = ActionLoad()
    for user_id in range(3 * QUIET_PEOPLE):
        later(2 * LASTS_S / QUIET_PEOPLE)
        act(load, user_id)

    act(load, 1, 2)

    assert load.is_quiet
