"""The history of a chat, page by page from the latest message to the first."""

from dal.db.engine import Database
from pkg.errors import InvalidParameter, UserNotFound
from pkg.paging import encode_cursor
from protos.message_pb2 import MessageChatReply, MessageChatRequest
from tests.accounts import UserFactory
from tests.chat import MakePhone, Phone, write_many
from tests.conftest import AllSettings
from tests.serving import counted_statements, refused_with


async def list_pages(reader: Phone, *, limit: int) -> list[list[str]]:
    """Walk from the latest page to the first."""
    pages, cursor = [], ""
    while True:
        reply = await reader.page(cursor, limit=limit)
        pages.append([message.content for message in reply.message_list])
        cursor = reply.next_cursor
        if not cursor:
            return pages


async def test_pages_go_back_in_time_and_each_is_oldest_first(friends: tuple[Phone, Phone]):
    first, second = friends
    for number in range(7):
        await friends[number % 2].send(str(number))

    assert await list_pages(first, limit=3) == [["4", "5", "6"], ["1", "2", "3"], ["0"]]
    assert await list_pages(second, limit=7) == [list("0123456")]
    assert await list_pages(second, limit=100) == [list("0123456")]


async def test_messages_of_one_millisecond_are_each_on_one_page(
    settings: AllSettings, database: Database, friends: tuple[Phone, Phone]
):
    first, second = friends
    await write_many(settings, database, first, 25)  # All at the same time of the clock.

    for limit in (1, 4, 5, 24, 25):
        pages = await list_pages(second, limit=limit)
        assert [int(text) for page in pages[::-1] for text in page] == list(range(25))


async def test_what_arrives_between_two_pages_shifts_none(friends: tuple[Phone, Phone]):
    first, second = friends
    for number in range(6):
        await first.send(str(number))

    latest = await second.page(limit=2)
    await first.send("new")
    await second.send("new, too")
    earlier = await second.page(latest.next_cursor, limit=2)
    first_of_all = await second.page(earlier.next_cursor, limit=2)

    told = [[message.content for message in reply.message_list] for reply in (latest, earlier)]
    assert told == [["4", "5"], ["2", "3"]]
    assert [message.content for message in first_of_all.message_list] == ["0", "1"]
    assert first_of_all.next_cursor == ""


async def test_an_app_that_asks_for_no_page_gets_the_latest_hundred(
    settings: AllSettings, database: Database, friends: tuple[Phone, Phone]
):
    first, second = friends
    await write_many(settings, database, first, 130)

    latest = await second.page()
    rest = await second.page(latest.next_cursor)

    assert [int(message.content) for message in latest.message_list] == list(range(30, 130))
    assert [int(message.content) for message in rest.message_list] == list(range(30))
    assert rest.next_cursor == ""


async def test_a_poll_looks_neither_at_limit_nor_at_cursor(friends: tuple[Phone, Phone]):
    first, second = friends
    for number in range(3):
        await first.send(str(number))
    [known, *_] = await second.read()
    request = MessageChatRequest(
        token=second.token,
        to_user_id=first.user_id,
        pre_msg_time=known.create_time,
        limit=1,
        cursor=encode_cursor(known.create_time),
    )

    reply = await second.stub.MessageChat(request)

    assert [message.content for message in reply.message_list] == ["1", "2"]
    assert reply.next_cursor == ""


async def test_an_earlier_page_costs_one_statement_and_asks_for_no_other_conversation(
    friends: tuple[Phone, Phone], make_user: UserFactory, make_phone: MakePhone
):
    first, second = friends
    for number in range(3):
        await first.send(str(number))
    cursor = (await second.page(limit=1)).next_cursor

    with counted_statements() as statements:
        assert len((await second.page(cursor)).message_list) == 2
    assert len(statements) == 1
    stranger = make_phone(await make_user(), first.user_id)
    assert await stranger.page(cursor) == MessageChatReply()


async def test_what_is_no_page_is_refused(friends: tuple[Phone, Phone], make_phone: MakePhone):
    first, _ = friends
    await first.send("一")

    for cursor, limit in (("nonsense", 0), ("AAAA", 0), ("", 101), ("", -1)):
        with refused_with(InvalidParameter):
            await first.page(cursor, limit=limit)
    nobody, oneself = make_phone(first.user_id, 2**50), make_phone(first.user_id, first.user_id)
    with refused_with(UserNotFound):
        await nobody.page(encode_cursor(5))
    assert await oneself.page(encode_cursor(5)) == MessageChatReply()
