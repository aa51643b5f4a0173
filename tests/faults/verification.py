"""Whether everything that a load was told is true."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from dal.db.counters import list_differences
from dal.db.models import Comment
from dal.registers.model import Kind
from tests.faults.ledger import Ledger, Sent
from tests.faults.people import Person
from tests.register_stores import RegisterStores

# How many messages one reply of a chat holds.
CHAT_PAGE = 100


@dataclass
class Verification:
    """Compares the ledger with rows and replies."""

    ledger: Ledger
    people: Sequence[Person]
    stores: RegisterStores

    async def holds(self) -> bool:
        """Raise an AssertionError that tells the first thing that is not as it was acknowledged."""
        await self._nothing_waits()
        await self._registers_are_as_told()
        await self._comments_are_there()
        await self._conversations_are_whole()
        await self._uploads_are_published()
        differences = await list_differences(self.stores.database)
        assert not differences, f"counters that do not equal their rows: {differences[:5]}"
        return True

    async def _nothing_waits(self) -> None:
        for kind in Kind:
            waiting = (await self.stores.pending(kind).measure()).pending
            assert not waiting, f"{waiting} actions ({kind.value}) still wait for MySQL"

    async def _registers_are_as_told(self) -> None:
        for kind in Kind:
            pairs = {pair: told for pair, told in self.ledger.registers.items() if pair[0] is kind}
            users = {user_id for _, user_id, _ in pairs}
            rows = {
                (user, target): on
                for user, target, on in await self.stores.rows(kind, users or {0})
            }
            wrong = {
                pair[1:]: (rows.get(pair[1:], False), told)
                for pair, told in pairs.items()
                if rows.get(pair[1:], False) not in told
            }
            assert not wrong, f"{kind.value}: by pair, what is there and what was told: {wrong}"

    async def _comments_are_there(self) -> None:
        told, unknown = self.ledger.comments, self.ledger.unknown_comments
        users = [person.app.user_id for person in self.people]
        statement = select(Comment.id, Comment.content).where(Comment.user_id.in_(users))
        async with self.stores.database.read_source() as connection:
            rows = [(text, number) for number, text in await connection.execute(statement)]
        lost = told.items() - set(rows)
        assert not lost, f"comments that were acknowledged and are not there: {lost}"
        twice = [text for text, count in Counter(text for text, _ in rows).items() if count > 1]
        assert not twice, f"comments that are there twice: {twice}"
        made_up = {text for text, _ in rows} - told.keys() - unknown
        assert not made_up, f"comments that nobody wrote: {made_up}"

    async def _conversations_are_whole(self) -> None:
        for person in self.people:
            sender, receiver = person.friend.user_id, person.app.user_id
            whole = await self._read_conversation(person)
            check_conversation(whole, self.ledger.messages[sender, receiver])
            polled = self.ledger.polled[sender, receiver]
            assert polled == whole[: len(polled)], "polls missed a message or showed one twice"
        for (sender, receiver), pushed in self.ledger.pushed.items():
            (person,) = [one for one in self.people if one.app.user_id == receiver]
            whole = await self._read_conversation(person)
            assert pushed == whole, f"the WebSocket missed a message or showed one twice, {sender=}"

    async def _read_conversation(self, person: Person) -> list[str]:
        """Return all that the friend wrote, as polls from the beginning bring it."""
        texts: list[str] = []
        last_seen_ms = 1
        while True:
            reply = await person.app.get(
                "douyin/message/chat/", to_user_id=person.friend.user_id, pre_msg_time=last_seen_ms
            )
            page = reply["message_list"]
            times = [last_seen_ms, *(message["create_time"] for message in page)]
            assert times == sorted(set(times)), f"times of a conversation do not increase: {times}"
            texts += [message["content"] for message in page]
            if len(page) < CHAT_PAGE:
                return texts
            last_seen_ms = times[-1]

    async def _uploads_are_published(self) -> None:
        by_id = {person.app.user_id: person.app for person in self.people}
        for author_id in {author_id for author_id, _ in self.ledger.uploads}:
            told = {video for author, video in self.ledger.uploads if author == author_id}
            cards = {card["id"]: card for card in await by_id[author_id].videos_of(author_id)}
            missing = told - cards.keys()
            entries = [await by_id[author_id].publication(video) for video in missing]
            assert not missing, f"uploads that were acknowledged and are not published: {entries}"
            for card in (cards[video] for video in told):
                for url in (card["cover_url"], card["play_url"]):
                    reply = await by_id[author_id].load(url)
                    assert reply.status_code == 200, f"media of video {card['id']}: {reply}"


def check_conversation(texts: Sequence[str], sent: Sequence[Sent]) -> None:
    """Check that every acknowledged message is there once and in the order of sending, and nothing that nobody sent."""
    twice = [text for text, count in Counter(texts).items() if count > 1]
    assert not twice, f"messages that are there twice: {twice}"
    acknowledged = [message.text for message in sent if message.acknowledged]
    known = set(acknowledged)
    assert [text for text in texts if text in known] == acknowledged, (
        "messages lost or out of order"
    )
    made_up = set(texts) - {message.text for message in sent}
    assert not made_up, f"messages that nobody sent: {made_up}"
