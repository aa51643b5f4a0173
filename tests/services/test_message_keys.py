"""The keys of chat messages: rotated while the services run, with old messages and those of the original readable."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from sqlalchemy import insert, select

from dal.db.engine import Database
from dal.db.messages import Draft, MessageRow, insert_message, list_history
from dal.db.models import Conversation, Message, MessageDataKey
from dal.participants import Participants
from pkg.crypt.messages import CryptSettings, WrappingKeys
from scripts.operator.rotate_keys import rotate_keys
from services import message_texts
from services.message_texts import UNREADABLE, MessageTexts
from tests.accounts import UserFactory
from tests.conftest import AllSettings
from tests.pkg.test_message_encryption import make_pair


@pytest.fixture
def crypt(settings: AllSettings, tmp_path: Path) -> CryptSettings:
    """The stack's pair, in a folder to which others can be added."""
    for path in settings.crypt.private_keys_dir.glob("*.pem"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return settings.crypt.model_copy(update={"private_keys_dir": tmp_path})


@pytest.fixture
async def people(make_user: UserFactory) -> tuple[int, int]:
    return await make_user(), await make_user()


async def write(
    database: Database, texts: MessageTexts, people: tuple[int, int], content: str
) -> int:
    """Store a message; return the id of its data key."""
    key = await texts.get_newest_key()
    draft = Draft(*people, key.id, lambda identity: key.encrypt(content, identity))
    async with database.write() as connection:
        await insert_message(connection, draft, mark=1, now_ms=1000)
    return key.id


async def read(database: Database, texts: MessageTexts, people: tuple[int, int]) -> list[str]:
    return await texts.decrypt(await list_rows(database, people))


async def list_rows(database: Database, people: tuple[int, int]) -> list[MessageRow]:
    async with database.read_source() as connection:
        return (await list_history(connection, Participants.of(*people), limit=100))[::-1]


async def test_after_a_rotation_old_messages_stay_readable_and_new_ones_have_a_new_key(
    database: Database,
    crypt: CryptSettings,
    people: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(message_texts, "NEWEST_KEY_LIFETIME_S", 0)
    running = MessageTexts(database, crypt)
    old_key = await write(database, running, people, "旧")
    make_pair(crypt.private_keys_dir, "m2")
    rotated = crypt.model_copy(update={"key_id": "m2"})

    new_key, rewrapped = await rotate_keys(database, WrappingKeys(rotated))

    try:
        assert rewrapped >= 1
        assert await write(database, running, people, "新") == new_key > old_key
        for texts in (running, MessageTexts(database, rotated), MessageTexts(database, crypt)):
            assert await read(database, texts, people) == ["旧", "新"]
        assert await list_pairs(database) == {"m2"}
    finally:
        # Other tests know the stack's own pair alone.
        await rotate_keys(database, WrappingKeys(crypt))
    assert await list_pairs(database) == {crypt.key_id}


async def test_messages_whose_pair_is_lost_are_replaced_and_an_operator_is_called(
    database: Database, crypt: CryptSettings, people: tuple[int, int], logged: list[str]
):
    make_pair(crypt.private_keys_dir, "m2")
    pair = crypt.private_keys_dir / "m2.pem"
    kept = pair.read_bytes()
    rotated = crypt.model_copy(update={"key_id": "m2"})
    await rotate_keys(database, WrappingKeys(rotated))
    try:
        await write(database, MessageTexts(database, rotated), people, "新")
        pair.unlink()

        assert await read(database, MessageTexts(database, crypt), people) == [UNREADABLE]
    finally:
        pair.write_bytes(kept)
        await rotate_keys(database, WrappingKeys(crypt))

    assert any(line.startswith("ERROR key missing") and "m2" in line for line in logged)
    assert any(line.startswith("ERROR message unreadable") for line in logged)


async def list_pairs(database: Database) -> set[str]:
    async with database.read_source() as connection:
        return set(await connection.scalars(select(MessageDataKey.wrapping_key_id)))


async def test_messages_of_the_original_are_read_among_ours(
    database: Database, crypt: CryptSettings, people: tuple[int, int]
):
    sealed = (
        make_pair(crypt.private_keys_dir, "original")
        .public_key()
        .encrypt("你好,老朋友".encode(), padding.PKCS1v15())
    )
    texts = MessageTexts(database, crypt)
    async with database.write() as connection:
        pair = Participants.of(*people)
        made = await connection.execute(
            insert(Conversation).values(
                low_user_id=pair.low_id, high_user_id=pair.high_id, last_time_ms=5
            )
        )
        for at_ms, content in ((4, base64.b64encode(sealed).decode()), (5, "QUJD")):
            await connection.execute(
                insert(Message).values(
                    conversation_id=made.lastrowid,
                    from_user_id=people[0],
                    to_user_id=people[1],
                    content=content,
                    data_key_id=0,
                    created_at_ms=at_ms,
                )
            )
    await write(database, texts, people, "新")

    assert await read(database, texts, people) == ["你好,老朋友", UNREADABLE, "新"]


async def test_the_latest_message_of_each_friend_comes_with_its_direction(
    database: Database, settings: AllSettings, make_user: UserFactory
):
    viewer, sent_to, received_from, silent = [await make_user() for _ in range(4)]
    texts = MessageTexts(database, settings.crypt)
    await write(database, texts, (sent_to, viewer), "早先")
    await write(database, texts, (viewer, sent_to), "我说的")
    await write(database, texts, (received_from, viewer), "你说的")

    latest = await texts.map_latest(viewer, [sent_to, received_from, silent])

    assert {other: (found.text, found.is_sent) for other, found in latest.items()} == {
        sent_to: ("我说的", True),
        received_from: ("你说的", False),
    }
