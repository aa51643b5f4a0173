"""Bounds for uploads and WebSockets."""

from contextlib import ExitStack

import pytest

from gateway.slots import Slots
from pkg.errors import RateLimited


def test_one_holder_cannot_take_all_slots():
    slots = Slots(total=3, per_holder=2)
    with ExitStack() as held:
        held.enter_context(slots.take("greedy"))
        held.enter_context(slots.take("greedy"))

        with pytest.raises(RateLimited), slots.take("greedy"):
            pass
        held.enter_context(slots.take("modest"))


def test_there_are_no_more_than_the_total():
    slots = Slots(total=1, per_holder=9)
    with slots.take("one"), pytest.raises(RateLimited) as refusal, slots.take("other"):
        pass

    assert refusal.value.retry_after_s


def test_a_slot_comes_back_whatever_happened():
    slots = Slots(total=1, per_holder=1)
    with pytest.raises(KeyError), slots.take("one"):
        raise KeyError

    with slots.take("one"):
        pass
