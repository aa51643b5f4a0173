"""An original with a million likes is taken over by a process that is killed several times."""

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import padding
from pymysql.cursors import Cursor
from redis.asyncio import Redis

from dal.db.engine import MySQLSettings, open_database
from dal.db.migrate import migrate
from pkg.token import TokenIssuer
from protos import message_pb2_grpc
from scripts.stack import Stack
from scripts.stack.environment import without_settings
from scripts.stack.site import REPOSITORY
from tests.chat import Phone, make_handler
from tests.conftest import AllSettings
from tests.databases import MakeDatabase, making_databases, root_cursor
from tests.operator.takeover.dirt import write_pair
from tests.operator.takeover.original import Original
from tests.services.user_phones import make_opener
from tests.serving import serving

pytestmark = [pytest.mark.servers, pytest.mark.timeout(3600)]

# As in large_original.sql.
USERS, LIKES, LIKES_PER_USER, CIPHERTEXTS = 10_000, 1_000_000, 100, 100
STATEMENTS = Path(__file__).with_name("large_original.sql")
# The process is killed so long after each of its first starts.
DEATHS_S = (8, 16, 24)


@pytest.fixture
def settings(servers: Stack) -> AllSettings:
    """No process of ours runs beside this."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in servers.environment().items():
            patch.setenv(name, value)
        return AllSettings.load()


@pytest.fixture
def make_database(servers: Stack, settings: AllSettings) -> Iterator[MakeDatabase]:
    with making_databases(servers, settings.mysql) as make:
        yield make


def fill(cursor: Cursor, database: str, ciphertexts: list[str]) -> None:
    """Fill the tables of an original."""
    cursor.execute(f"USE {database}")
    cursor.execute("CREATE TABLE sealed (n int PRIMARY KEY, content varchar(255))")
    cursor.executemany("INSERT INTO sealed VALUES (%s, %s)", list(enumerate(ciphertexts)))
    for statement in STATEMENTS.read_text().split(";\n"):
        if statement.strip():
            cursor.execute(statement)


def run(
    name: str, *arguments: str | Path, env: dict[str, str], kill_after_s: int | None = None
) -> str:
    """Run `scripts/NAME` to its end, or kill it; return what it printed."""
    command = [REPOSITORY / "scripts" / name, *arguments]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            out, _ = process.communicate(timeout=kill_after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
        else:
            assert process.returncode == 0
    return out


async def test_a_million_likes_are_taken_over_and_everybody_goes_on(
    servers: Stack,
    settings: AllSettings,
    make_database: MakeDatabase,
    *,
    actions_redis: Redis,
    tmp_path: Path,
):
    source, target = make_database("SELECT"), make_database()
    migrate(target)
    pair = write_pair(tmp_path / "original.pem")
    ciphertexts = [
        base64.b64encode(pair.public_key().encrypt(f"text {n}".encode(), padding.PKCS1v15()))
        for n in range(CIPHERTEXTS)
    ]
    with root_cursor(servers) as cursor:
        Original(cursor, source.database)
        fill(cursor, source.database, [content.decode() for content in ciphertexts])
    file = tmp_path / "takeover.yml"
    file.touch(mode=0o600)
    said = {"mysql": {"database": source.database}, "message_key": str(tmp_path / "original.pem")}
    file.write_text(yaml.safe_dump(said | {"objects": "keep"}))
    env = without_settings(os.environ) | servers.environment()
    env["DOUSHENG_MYSQL__DATABASE"] = target.database

    started = time.monotonic()
    dry = run("takeover", "--dry-run", file, env=env)
    print(f"dry run: {time.monotonic() - started:.0f} s")
    started = time.monotonic()
    for kill_after_s in DEATHS_S:
        run("takeover", file, env=env, kill_after_s=kill_after_s)
    report = run("takeover", file, env=env)
    print(f"takeover, killed {len(DEATHS_S)} times: {time.monotonic() - started:.0f} s\n{report}")

    assert report.splitlines()[:-1] == dry.splitlines()[:-1]
    assert f"{LIKES:,}" in report
    assert "differences: 0" in run("recount", env=env)
    await log_in_and_read(settings, target, actions_redis)


async def log_in_and_read(settings: AllSettings, target: MySQLSettings, redis: Redis) -> None:
    """Be some of the users, in the real services."""
    async with make_opener(settings.model_copy(update={"mysql": target}))() as phone:
        for user_id in (1, 77, USERS):
            assert await phone.login(f"user {user_id}", f"secret {user_id}") == user_id
            assert (await phone.info(user_id)).favorite_count == LIKES_PER_USER
    issuer = TokenIssuer(settings.token)
    async with open_database(target) as database:
        handler = make_handler(settings, database, redis)
        async with serving(
            lambda server: message_pb2_grpc.add_MessageServiceServicer_to_server(handler, server)
        ) as channel:
            stub = message_pb2_grpc.MessageServiceStub(channel)
            messages = await Phone(stub, issuer.issue(8), 8, 9).read()
    texts = {message.content for message in messages}
    assert texts == {"text 7"}
