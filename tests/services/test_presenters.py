"""Cards: put together in batches, as one viewer sees them."""

import pytest
from sqlalchemy import func, insert, update

from dal.db import models
from dal.db.models import FavoriteVideo, Relation
from dal.db.videos import VideoRow, list_videos
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from pkg.errors import UserNotFound
from protos.user_pb2 import User
from protos.video_pb2 import Video
from services.presenters import DELETED_USER_NAME, Presenter
from tests.serving import counted_statements
from tests.videos import Videos


@pytest.fixture
def presenter(database, actions_redis) -> Presenter:
    return Presenter(database, ViewerFlags(database, Overlay(actions_redis)))


def to_videos(cards: list[bytes]) -> list[Video]:
    return [Video.FromString(card) for card in cards]


async def publish_by_others(database, make_user, count: int) -> list[VideoRow]:
    """Publish videos of as many authors, and return them."""
    ids = []
    for _ in range(count):
        video = await published(Videos(database, await make_user()))
        ids.append(video.id)
    return await read(database, ids)


async def published(videos: Videos) -> VideoRow:
    video_id = await videos.add_job()
    claimed = await videos.claim()
    assert claimed
    await videos.publish(claimed)
    (row,) = await read(videos.database, [video_id])
    return row


async def read(database, ids: list[int]) -> list[VideoRow]:
    async with database.read_source() as connection:
        return await list_videos(connection, ids)


async def follow(database, viewer: int, user_id: int) -> None:
    row = {"user_id": viewer, "to_user_id": user_id, "active": True, "acted_at_us": 1}
    async with database.write() as connection:
        await connection.execute(insert(Relation).values(row))


async def like(database, viewer: int, video_id: int, *, active: bool = True) -> None:
    row = {"user_id": viewer, "video_id": video_id, "active": active, "acted_at_us": 1}
    async with database.write() as connection:
        await connection.execute(insert(FavoriteVideo).values(row))


@pytest.mark.parametrize("is_known", [True, False], ids=["viewer", "anonymous"])
async def test_thirty_cards_cost_as_many_statements_as_one(presenter, videos, make_user, is_known):
    rows = await publish_by_others(videos.database, make_user, 30)
    viewer = await make_user() if is_known else None

    ids = [row.id for row in rows]
    with counted_statements() as for_one:
        await presenter.list_video_cards(ids[:1], viewer)
    with counted_statements() as for_thirty:
        cards = to_videos(await presenter.list_video_cards(ids, viewer))

    assert len(cards) == 30
    assert len({card.author.id for card in cards}) == 30
    assert len(for_thirty) == len(for_one) == (4 if is_known else 2)


async def test_no_card_costs_no_statement(presenter):
    with counted_statements() as statements:
        assert await presenter.list_video_cards([], 1) == []
        assert await presenter.list_user_cards([], 1) == []

    assert statements == []


async def test_a_video_card_says_what_its_viewer_has_to_do_with_it(
    presenter, database, make_user, videos
):
    liked, unliked, own = [await published(Videos(database, await make_user())) for _ in range(3)]
    viewer = own.author_id
    await follow(database, viewer, liked.author_id)
    await like(database, viewer, liked.id)
    await like(database, viewer, unliked.id, active=False)
    await like(database, liked.author_id, unliked.id)

    ids = [liked.id, unliked.id, own.id]
    cards = to_videos(await presenter.list_video_cards(ids, viewer))
    for_anyone = to_videos(await presenter.list_video_cards(ids, None))

    assert [(card.is_favorite, card.author.is_follow) for card in cards] == [
        (True, True),
        (False, False),
        (False, False),
    ]
    assert not any(card.is_favorite or card.author.is_follow for card in for_anyone)


async def test_a_video_card_holds_what_its_row_holds(presenter, videos):
    row = await published(videos)

    (card,) = to_videos(await presenter.list_video_cards([row.id], None))

    assert (card.id, card.author.id, card.title) == (row.id, videos.author_id, row.title)
    assert card.play_url == f"tiktok-videos/{row.play_key}"
    assert card.cover_url == f"tiktok-video-covers/{row.cover_key}"
    assert card.create_time == row.published_at_ms
    assert card.author.work_count == 1


async def test_videos_outlive_the_account_of_their_author(presenter, database, make_user, videos):
    kept = await published(Videos(database, await make_user()))
    orphan = await published(videos)
    async with database.write() as connection:
        statement = update(models.User).where(models.User.id == videos.author_id)
        await connection.execute(statement.values(deleted_at=func.now(3)))

    cards = to_videos(await presenter.list_video_cards([orphan.id, kept.id], None))

    assert [card.id for card in cards] == [orphan.id, kept.id]
    assert cards[0].author.id == videos.author_id
    assert cards[0].author.name == DELETED_USER_NAME
    assert cards[0].author.avatar


async def test_videos_come_in_the_order_that_was_asked_for_and_only_published_ones(
    presenter, videos
):
    first, second = await published(videos), await published(videos)
    hidden = await videos.add_job()

    ids = [second.id, hidden, 2**52, first.id]
    cards = to_videos(await presenter.list_video_cards(ids, None))

    assert [card.id for card in cards] == [second.id, first.id]


async def test_users_come_in_the_order_that_was_asked_for(presenter, make_user):
    one, other = await make_user(), await make_user()

    cards = await presenter.list_user_cards([other, 2**52, one, other], None)

    assert [User.FromString(card).id for card in cards] == [other, one, other]


async def test_an_unknown_user_has_no_card(presenter):
    with pytest.raises(UserNotFound):
        await presenter.get_user_card(2**52, None)
