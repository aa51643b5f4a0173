"""Real servers on private ports for every test that asks for them; fast tests run first."""

import gc
from collections.abc import AsyncIterator, Iterator

import pytest
from loguru import logger
from sqlalchemy import delete
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from dal.db.engine import Database, open_database
from dal.db.models import Video
from dal.redis.client import RedisSettings, open_redis
from pkg.crypt.messages import CryptSettings
from pkg.media import MediaSettings
from pkg.mq.connection import RabbitMQSettings
from pkg.storage import Storage, StorageSettings
from scripts.stack.stack import Stack
from services.buckets import BUCKETS
from services.foundation import FoundationSettings
from services.user.settings import UserSettings
from services.video.settings import VideoSettings
from tests.accounts import UserFactory
from tests.shared_sql import checked_statements
from tests.stacks import private_stack
from tests.stored_objects import StoredObjects
from tests.videos import Videos

# Whoever uses one of these needs servers; a test that starts some by itself is marked where it stands.
NEED_SERVERS = {"servers", "system"}
# Whoever uses one of these makes videos or reads them with ffmpeg, which takes a second where others take milliseconds.
NEED_FFMPEG = {"library", "media", "make_media", "slow_video"}
# One worker plays all of such a folder, without those that stand before it here.
WHOLE_FOLDERS = ("tests/system/web/", "tests/system/")


class AllSettings(FoundationSettings):
    """Every section, as the processes of the test stack read it; what each service reads comes from its own settings."""

    redis_cache: RedisSettings
    rabbitmq: RabbitMQSettings
    storage: StorageSettings
    crypt: CryptSettings
    media: MediaSettings
    user: UserSettings
    video: VideoSettings


def load_settings(stack: Stack) -> AllSettings:
    """Return what a process of the stack reads."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        return AllSettings.load()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the whole system of tests/system speak TLS everywhere: `scripts/test --tls tests/system/test_main_job.py`."""
    parser.addoption("--tls", action="store_true", help="encrypt every connection of the system")


class ByFile(LoadFileScheduling):
    """Gives a worker whole files, and whole folders whose tests share what is dear to start and look at each other's traces."""

    def _split_scope(self, nodeid: str) -> str:
        shared = next((folder for folder in WHOLE_FOLDERS if nodeid.startswith(folder)), None)
        return shared or super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """Share a run of everything out among workers, of which each has servers of its own."""
    return ByFile(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs servers and what runs ffmpeg, and sort: what needs none first, what plays with the whole system last.

    For several workers it is the other way round, so that none has long work left when the others have ended. Either way, what is in
    a deeper folder comes later: tests/system, then its faults.
    """
    for item in items:
        if NEED_SERVERS & _used_fixtures(item):
            item.add_marker("servers")
        if NEED_FFMPEG & _used_fixtures(item):
            item.add_marker("ffmpeg")
    is_worker = hasattr(config, "workerinput")
    items.sort(key=lambda item: _order(item, dearest_first=is_worker))


def _order(item: pytest.Item, *, dearest_first: bool) -> tuple[bool, bool, int]:
    needs_servers = item.get_closest_marker("servers") is not None
    needs_system = "system" in _used_fixtures(item)
    return needs_servers != dearest_first, needs_system != dearest_first, len(item.path.parts)


def _used_fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """MySQL, both Redis, RabbitMQ, etcd and S3 with an empty, migrated database; none of our processes."""
    with private_stack(tmp_path_factory.mktemp("servers")) as stack:
        stack.up(only="servers")
        stack.migrate()
        yield stack


@pytest.fixture(scope="session")
def settings(servers: Stack) -> AllSettings:
    """The settings of a process that runs on `servers`."""
    return load_settings(servers)


@pytest.fixture(autouse=True)
def leaks() -> Iterator[None]:
    """Fail a test that leaves a socket or a task behind; else whichever test the garbage collector interrupts would fail for it."""
    yield
    gc.collect()
    gc.freeze()  # What is alive now is not looked at again: that would take ten times as long.


@pytest.fixture(autouse=True)
def shared_sql(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that sends SQL which only one of MySQL and MariaDB knows, by SQLAlchemy as the product does."""
    with checked_statements() as violations:
        yield
    assert not violations or request.node.get_closest_marker("one_server"), violations


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that this process logs during the test, with level and facts."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="DEBUG", format="{level} {message} {extra}")
    yield lines
    logger.remove(sink)


@pytest.fixture
async def database(settings: AllSettings) -> AsyncIterator[Database]:
    """The shared data-access layer's database."""
    async with open_database(settings.mysql) as opened:
        yield opened


@pytest.fixture
async def actions_redis(settings: AllSettings) -> AsyncIterator[object]:
    """The Redis that must not lose anything."""
    async with open_redis(settings.redis_actions) as client:
        yield client


@pytest.fixture
async def cache_redis(settings: AllSettings) -> AsyncIterator[object]:
    """The Redis that may be lost."""
    async with open_redis(settings.redis_cache) as client:
        yield client


@pytest.fixture
async def storage(settings: AllSettings) -> AsyncIterator[Storage]:
    """Object storage with its buckets."""
    async with Storage(settings.storage) as opened:
        await opened.ensure_buckets(BUCKETS)
        yield opened


@pytest.fixture
def stored_objects(settings: AllSettings, storage: Storage) -> StoredObjects:
    """What is in the buckets, which are there."""
    return StoredObjects(settings.storage)


@pytest.fixture
def make_user(database: Database) -> UserFactory:
    """Makes accounts with names of their own."""
    return UserFactory(database)


@pytest.fixture
async def videos(database: Database, make_user: UserFactory) -> Videos:
    """A new author's videos; nobody else has any at the beginning."""
    async with database.write() as connection:
        await connection.execute(delete(Video))
    return Videos(database, await make_user())
