"""What Redis says of a conversation, and when it says that MySQL must be asked."""

import uuid

import pytest
from redis.asyncio import Redis

from dal.pairs import Pair
from dal.redis.chat import ChatMarks, Look
from dal.redis.keys import chat_key

PATIENT_S = 60.0
ASK, RECOVER = Look(None), Look(None, needs_recovery=True)


@pytest.fixture
def pair() -> Pair:
    low = uuid.uuid4().int % 2**50
    return Pair(low, low + 1)


@pytest.fixture
def marks(actions_redis: Redis) -> ChatMarks:
    return ChatMarks(actions_redis, stale_mark_s=PATIENT_S)


async def recover(marks: ChatMarks, pair: Pair, low_ms: int = 0, high_ms: int = 0) -> None:
    mark = await marks.mark(pair)
    assert await marks.recover(pair, mark, {pair.low_id: low_ms, pair.high_id: high_ms})


async def test_nothing_is_known_of_a_new_conversation_until_it_is_recovered(
    marks: ChatMarks, pair: Pair
):
    assert await marks.look(pair, (pair.low_id,)) == RECOVER

    await recover(marks, pair, low_ms=7, high_ms=9)

    assert await marks.look(pair, (pair.low_id,)) == Look(7)
    assert await marks.look(pair, (pair.low_id, pair.high_id)) == Look(9)


async def test_while_a_mark_stands_mysql_is_asked(marks: ChatMarks, pair: Pair):
    await recover(marks, pair)
    first, second = await marks.mark(pair), await marks.mark(pair)

    await marks.settle(pair, first, sender_id=pair.low_id, created_at_ms=5)
    assert await marks.look(pair, (pair.low_id,)) == ASK

    await marks.settle(pair, second, sender_id=pair.high_id, created_at_ms=6)
    assert await marks.look(pair, (pair.low_id,)) == Look(5)


async def test_settling_late_never_lowers_the_newest_time(marks: ChatMarks, pair: Pair):
    await recover(marks, pair)
    first, second = await marks.mark(pair), await marks.mark(pair)

    await marks.settle(pair, second, sender_id=pair.low_id, created_at_ms=6)
    await marks.settle(pair, first, sender_id=pair.low_id, created_at_ms=5)

    assert await marks.look(pair, (pair.low_id,)) == Look(6)


async def test_a_stale_mark_is_recovered_and_a_newer_one_stays(
    actions_redis: Redis, marks: ChatMarks, pair: Pair
):
    impatient = ChatMarks(actions_redis, stale_mark_s=0)
    await recover(marks, pair)
    await marks.mark(pair)
    assert await impatient.look(pair, (pair.low_id,)) == RECOVER

    mine = await marks.mark(pair)
    newer = await marks.mark(pair)
    await marks.recover(pair, mine, {pair.low_id: 3})

    assert await marks.look(pair, (pair.low_id,)) == ASK
    await marks.clear(pair, newer)
    assert await marks.look(pair, (pair.low_id,)) == Look(3)


async def test_a_recovery_during_which_redis_lost_its_data_makes_nothing_known(
    actions_redis: Redis, marks: ChatMarks, pair: Pair
):
    mark = await marks.mark(pair)
    await actions_redis.delete(chat_key(pair))

    assert not await marks.recover(pair, mark, {pair.low_id: 3, pair.high_id: 3})

    assert await marks.look(pair, (pair.low_id,)) == RECOVER


async def test_a_send_that_redis_forgot_does_not_make_its_conversation_known(
    actions_redis: Redis, marks: ChatMarks, pair: Pair
):
    mark = await marks.mark(pair)
    await actions_redis.delete(chat_key(pair))

    await marks.settle(pair, mark, sender_id=pair.low_id, created_at_ms=5)

    assert await marks.look(pair, (pair.low_id,)) == RECOVER


async def test_marks_increase_and_pass_what_mysql_has_fenced(marks: ChatMarks, pair: Pair):
    first = await marks.mark(pair)
    second = await marks.mark(pair)
    third = await marks.mark(pair, above=second + 10**9)

    assert first < second < second + 10**9 < third


async def test_what_redis_knows_of_a_conversation_expires_as_a_whole(
    actions_redis: Redis, marks: ChatMarks, pair: Pair
):
    await recover(marks, pair)
    await marks.mark(pair)

    assert 0 < await actions_redis.ttl(chat_key(pair)) <= 7 * 24 * 3600
