"""The servers of a stack with TLS, as the product reaches them: encrypted, and only where both sides are who they say."""

import gc
import subprocess
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import text

from dal.db.engine import Database
from dal.db.migrate import migrate
from dal.redis.client import open_redis
from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable
from pkg.mq.connection import BrokerConnection
from pkg.nodes import parse_node
from pkg.settings import Section
from pkg.storage import Storage
from pkg.tls import TlsSettings
from scripts.stack import Stack
from services.buckets import BUCKETS, VIDEO_UPLOADS_BUCKET
from tests.bad_servers import Behaviour, bad_server_before, on_uvloop
from tests.certificates import Certificates
from tests.conftest import AllSettings
from tests.stacks import private_stack

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The servers that listen on ports; etcd listens on a socket in a private folder."""
    with private_stack(tmp_path_factory.mktemp("tls"), tls=True) as stack:
        stack.up(only=["epmd", "mysql", "redis-cache", "rabbitmq", "s3"])
        yield stack


@pytest.fixture(scope="module")
def encrypted(stack: Stack) -> AllSettings:
    """The settings of an operator's process on this stack."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        return AllSettings.load()


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A stranger's authority."""
    return Certificates(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(autouse=True)
def no_sockets_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """asyncmy leaves the socket of a handshake that failed to the collector of garbage."""
    yield
    if "mysql" not in request.node.name:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def use_mysql(settings: Section) -> None:
    database = Database(settings)  # type: ignore[arg-type]
    try:
        async with database.read_source() as connection:
            cipher = await connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'"))
            assert cipher.one()[1]
    finally:
        await database.close()


async def use_redis(settings: Section) -> None:
    async with open_redis(settings, patient=False) as client:  # type: ignore[arg-type]
        await client.set("key", "value")


async def use_rabbitmq(settings: Section) -> None:
    connection = await BrokerConnection.open(settings, name="test")  # type: ignore[arg-type]
    await connection.open_channel()
    await connection.close()


async def use_storage(settings: Section) -> None:
    async with Storage(settings) as storage:  # type: ignore[arg-type]
        await storage.ensure_buckets(BUCKETS)


async def transfer(settings: Section) -> None:
    async with Storage(settings) as storage:  # type: ignore[arg-type]
        await storage.put_file(VIDEO_UPLOADS_BUCKET, "key", Path(__file__), "video/mp4")
        assert await storage.exists(VIDEO_UPLOADS_BUCKET, "key")


USES: dict[str, tuple[str, Callable[[Section], Awaitable[None]]]] = {
    "mysql": ("mysql", use_mysql),
    "redis": ("redis_cache", use_redis),
    "rabbitmq": ("rabbitmq", use_rabbitmq),
    "storage": ("storage", use_storage),
    "storage, a transfer": ("storage", transfer),
}
SERVERS = pytest.mark.parametrize("server", USES)


def find(
    settings: AllSettings, server: str
) -> tuple[Section, Callable[[Section], Awaitable[None]]]:
    section, use = USES[server]
    return getattr(settings, section), use


def tls_of(section: Section) -> TlsSettings:
    tls: TlsSettings = section.tls  # type: ignore[attr-defined]
    return tls


@SERVERS
@on_uvloop
async def test_a_server_is_reached_over_tls(encrypted, server):
    section, use = find(encrypted, server)

    await use(section)


@on_uvloop
async def test_the_migration_and_pymysql_reach_mysql_over_tls(encrypted):
    migrate(encrypted.mysql)

    with pytest.raises(DependencyRefused):
        # What the server says of its tables shows that the migration came through; of strangers it says nothing.
        await use_mysql(encrypted.mysql.model_copy(update={"database": "elsewhere"}))


@SERVERS
@on_uvloop
async def test_a_server_of_another_authority_is_refused(encrypted, theirs, server):
    section, use = find(encrypted, server)
    tls = tls_of(section).model_copy(update={"ca_file": theirs.ca_file})

    with pytest.raises(DependencyRefused):
        await use(section.model_copy(update={"tls": tls}))


@SERVERS
@on_uvloop
async def test_a_server_is_expected_by_the_name_of_the_settings(encrypted, server):
    section, use = find(encrypted, server)
    own = {"redis": "redis-cache", "storage, a transfer": "storage"}.get(server, server)
    right, wrong = (
        section.model_copy(update={"tls": tls_of(section).model_copy(update={"server_name": name})})
        for name in (own, "another.example")
    )

    await use(right)
    with pytest.raises(DependencyRefused):
        await use(wrong)


@SERVERS
@on_uvloop
async def test_whoever_speaks_plain_text_is_let_in_nowhere(encrypted, server):
    section, use = find(encrypted, server)

    with pytest.raises(DependencyUnavailable):
        await use(section.model_copy(update={"tls": None}))


@pytest.mark.parametrize("server", ["redis", "rabbitmq"])
@on_uvloop
async def test_a_server_that_asks_for_certificates_lets_nobody_else_in(encrypted, theirs, server):
    section, use = find(encrypted, server)
    ca_file = tls_of(section).ca_file
    nobody = theirs.client(None, ca_file=ca_file)
    stranger = theirs.client(ca_file=ca_file)

    for tls in (nobody, stranger):
        with pytest.raises(DependencyUnavailable):
            await use(section.model_copy(update={"tls": tls}))


@on_uvloop
async def test_mysql_can_ask_a_user_for_a_certificate(stack, encrypted):
    without = tls_of(encrypted.mysql).model_copy(
        update={"certificate_file": None, "key_file": None}
    )
    nobody = encrypted.mysql.model_copy(update={"tls": without})
    await use_mysql(nobody)
    user = f"'{encrypted.mysql.user}'@'127.0.0.1'"
    with pymysql.connect(unix_socket=str(stack.mysql_socket), user="root") as root:
        root.cursor().execute(f"ALTER USER {user} REQUIRE X509")
        try:
            await use_mysql(encrypted.mysql)
            with pytest.raises(DependencyRefused):
                await use_mysql(nobody)
        finally:
            root.cursor().execute(f"ALTER USER {user} REQUIRE NONE")


@SERVERS
@on_uvloop
async def test_a_handshake_that_hangs_ends_in_time(encrypted, server):
    section, use = find(encrypted, server)
    quick = {"timeout_s", "connect_timeout_s", "statement_timeout_s"} & set(section.model_dump())
    with bad_server_before(1) as silent:
        silent.turn(Behaviour.SILENT)
        place: dict[str, object] = {"port": silent.port, "nodes": (f"127.0.0.1:{silent.port}",)}
        hanging = section.model_copy(update=place | dict.fromkeys(quick, 0.5))
        began = time.monotonic()

        with pytest.raises((DependencyUnavailable, DeadlineExceeded)):
            await use(hanging)

        assert time.monotonic() - began < 5


def test_no_port_of_the_stack_speaks_plain_text(stack, encrypted):
    ports = [encrypted.mysql.port, encrypted.storage.port]
    ports += [parse_node(node).port for node in encrypted.redis_cache.nodes]
    ports += [parse_node(node).port for node in encrypted.rabbitmq.nodes]
    for port in ports:
        starttls = ["-starttls", "mysql"] if port == encrypted.mysql.port else []
        done = subprocess.run(
            [
                *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", *starttls),
                *("-CAfile", str(stack.site.authority.certificate_file), "-verify_return_error"),
            ],
            input=b"",
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert b"Verify return code: 0 (ok)" in done.stdout, (port, done.stderr[-300:])
