"""What Redis says of a conversation, and when it says that MySQL must be asked."""

import uuid

import pytest
from redis.asyncio import Redis

from dal.participants import Participants
from dal.redis.chat import ChatMarks, Look
from dal.redis.keys import actions_life_key, chat_key, chat_sent_key

PATIENT_S = 60.0
ASK, RECOVER = Look(None), Look(None, needs_recovery=True)


@pytest.fixture
def participants() -> Participants:
    low = uuid.uuid4().int % 2**50
    return Participants(low, low + 1)


@pytest.fixture
def marks(actions_redis: Redis) -> ChatMarks:
    return ChatMarks(actions_redis, stale_mark_s=PATIENT_S)


async def recover(
    marks: ChatMarks, participants: Participants, low_ms: int = 0, high_ms: int = 0
) -> None:
    mark = await marks.mark(participants)
    assert await marks.recover(
        participants, mark, {participants.low_id: low_ms, participants.high_id: high_ms}
    )


async def test_nothing_is_known_of_a_new_conversation_until_it_is_recovered(
    marks: ChatMarks, participants: Participants
):
    assert await marks.look(participants, (participants.low_id,)) == RECOVER

    await recover(marks, participants, low_ms=7, high_ms=9)

    assert await marks.look(participants, (participants.low_id,)) == Look(7)
    assert await marks.look(participants, (participants.low_id, participants.high_id)) == Look(9)


async def test_while_a_mark_stands_mysql_is_asked(marks: ChatMarks, participants: Participants):
    await recover(marks, participants)
    first, second = await marks.mark(participants), await marks.mark(participants)

    await marks.settle(participants, first, sender_id=participants.low_id, created_at_ms=5)
    assert await marks.look(participants, (participants.low_id,)) == ASK

    await marks.settle(participants, second, sender_id=participants.high_id, created_at_ms=6)
    assert await marks.look(participants, (participants.low_id,)) == Look(5)


async def test_settling_late_never_lowers_the_newest_time(
    marks: ChatMarks, participants: Participants
):
    await recover(marks, participants)
    first, second = await marks.mark(participants), await marks.mark(participants)

    await marks.settle(participants, second, sender_id=participants.low_id, created_at_ms=6)
    await marks.settle(participants, first, sender_id=participants.low_id, created_at_ms=5)

    assert await marks.look(participants, (participants.low_id,)) == Look(6)


async def test_a_stale_mark_is_recovered_and_a_newer_one_stays(
    actions_redis: Redis, marks: ChatMarks, participants: Participants
):
    impatient = ChatMarks(actions_redis, stale_mark_s=0)
    await recover(marks, participants)
    await marks.mark(participants)
    assert await impatient.look(participants, (participants.low_id,)) == RECOVER

    mine = await marks.mark(participants)
    newer = await marks.mark(participants)
    await marks.recover(participants, mine, {participants.low_id: 3})

    assert await marks.look(participants, (participants.low_id,)) == ASK
    await marks.clear(participants, newer)
    assert await marks.look(participants, (participants.low_id,)) == Look(3)


async def test_a_recovery_during_which_redis_lost_its_data_makes_nothing_known(
    actions_redis: Redis, marks: ChatMarks, participants: Participants
):
    mark = await marks.mark(participants)
    await actions_redis.delete(chat_key(participants))

    assert not await marks.recover(
        participants, mark, {participants.low_id: 3, participants.high_id: 3}
    )

    assert await marks.look(participants, (participants.low_id,)) == RECOVER


async def test_a_send_that_redis_forgot_does_not_make_its_conversation_known(
    actions_redis: Redis, marks: ChatMarks, participants: Participants
):
    mark = await marks.mark(participants)
    await actions_redis.delete(chat_key(participants))

    await marks.settle(participants, mark, sender_id=participants.low_id, created_at_ms=5)

    assert await marks.look(participants, (participants.low_id,)) == RECOVER


async def test_marks_increase_and_pass_what_mysql_has_fenced(
    marks: ChatMarks, participants: Participants
):
    first = await marks.mark(participants)
    second = await marks.mark(participants)
    third = await marks.mark(participants, above=second + 10**9)

    assert first < second < second + 10**9 < third


async def test_what_redis_knows_of_a_conversation_expires_as_a_whole(
    actions_redis: Redis, marks: ChatMarks, participants: Participants
):
    await recover(marks, participants)
    await marks.mark(participants)

    assert 0 < await actions_redis.ttl(chat_key(participants)) <= 3600


async def test_looking_at_what_nobody_wrote_writes_nothing(
    actions_redis: Redis, marks: ChatMarks, participants: Participants
):
    await marks.name_life()

    look = await marks.look(participants, (participants.low_id,))

    assert look.is_absent
    assert look.witness is not None
    assert not await actions_redis.exists(chat_key(participants), chat_sent_key(participants))


async def test_the_witness_of_silence_ends_with_the_first_send(
    actions_redis: Redis, marks: ChatMarks, participants: Participants
):
    """Also where Redis forgets that send."""
    before = await marks.look(participants, (participants.low_id,))
    mark = await marks.mark(participants)
    await actions_redis.delete(chat_key(participants))

    under_way = await marks.look(participants, (participants.low_id,))

    assert before.witness is not None
    assert under_way.is_absent
    assert under_way.witness is None
    await marks.settle(participants, mark, sender_id=participants.low_id, created_at_ms=5)
    await actions_redis.delete(chat_key(participants))
    await actions_redis.set(chat_sent_key(participants), 1)  # It was long ago.
    later = await marks.look(participants, (participants.low_id,))
    assert later.witness not in (None, before.witness)


async def test_a_redis_that_lost_everything_is_no_witness_at_first(
    actions_redis: Redis, marks: ChatMarks, participants: Participants
):
    before = await marks.look(participants, (participants.low_id,))
    await actions_redis.delete(actions_life_key())

    after = await marks.look(participants, (participants.low_id,))

    assert before.witness is not None
    assert after.is_absent
    assert after.witness is None


@pytest.mark.parametrize("shift_us", [-5_000_000, 5_000_000, -3_600_000_000, 3_600_000_000])
async def test_a_mark_of_a_clock_that_was_set_is_recovered_and_marks_go_on_increasing(
    actions_redis: Redis, participants: Participants, shift_us: int
):
    """What a step leaves are marks and times of another time."""
    marks = ChatMarks(actions_redis, stale_mark_s=3.0)
    first = await marks.mark(participants)
    await actions_redis.hdel(chat_key(participants), f"mark:{first}")
    shifted = first + shift_us
    await actions_redis.hset(
        chat_key(participants), mapping={"mark": shifted, f"mark:{shifted}": shifted}
    )

    assert await marks.look(participants, (participants.low_id,)) == RECOVER
    await recover(marks, participants)

    # A mark above the recovery's would be of a send that began after it.
    assert await marks.look(participants, (participants.low_id,)) == Look(0)
    assert await marks.mark(participants) > shifted
