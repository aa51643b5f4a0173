"""An original with every kind of dirt, and what it became."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dal.db.engine import Database, MySQLSettings, open_database
from dal.db.migrate import migrate
from scripts.operator.takeover.__main__ import take_over
from scripts.operator.takeover.settings import OurSettings
from scripts.stack import Stack
from services.buckets import BUCKETS
from tests.conftest import AllSettings
from tests.databases import MakeDatabase, making_databases, root_cursor
from tests.operator.takeover.dirt import OBJECTS, ZONE, fill, write_pair
from tests.operator.takeover.original import Original
from tests.stored_objects import open_client

THREADS = 2


@dataclass(frozen=True)
class Job:
    """A takeover that can be run; the original's database may only be read."""

    ours: OurSettings
    file: Path
    source: str  # the name of the original's database

    async def run(self, *, is_dry: bool = False) -> int:
        """Run it in this process and return the exit status."""
        return await take_over(self.ours, self.file, is_dry=is_dry, threads=THREADS)

    def change(self, **values: Any) -> None:
        """Change what the file says."""
        said = yaml.safe_load(self.file.read_text())
        self.file.write_text(yaml.safe_dump(said | values))


@pytest.fixture(scope="module")
def make_database(servers: Stack, settings: AllSettings) -> Iterator[MakeDatabase]:
    with making_databases(servers, settings.mysql) as make:
        yield make


@pytest.fixture(scope="module")
def stored(settings: AllSettings) -> None:
    """The original's objects, in our storage."""
    client = open_client(settings.storage)
    for bucket in BUCKETS:
        if not client.bucket_exists(bucket.name):
            client.make_bucket(bucket.name)
    for (bucket, key), content in OBJECTS.items():
        client.put_object(bucket.name, key, io.BytesIO(content), len(content))


def make_job(
    servers: Stack,
    settings: AllSettings,
    make_database: MakeDatabase,
    folder: Path,
    *,
    with_keys: bool = False,
) -> Job:
    """Return a takeover from tables that are empty into a database that is migrated."""
    source, target = make_database("SELECT"), make_database()
    migrate(target)
    file = folder / "takeover.yml"
    pair = write_pair(folder / "original.pem")
    said = {
        "mysql": {"database": source.database},
        "time_zone": ZONE,
        "message_key": str(folder / "original.pem"),
    }
    file.write_text(yaml.safe_dump(said))
    file.chmod(0o600)
    with root_cursor(servers) as cursor:
        original = Original(cursor, source.database, with_keys=with_keys)
        if not with_keys:
            fill(original, pair)
    ours = OurSettings(
        log=settings.log, mysql=target, crypt=settings.crypt, storage=settings.storage
    )
    return Job(ours, file, source.database)


@pytest.fixture
def job(
    servers: Stack,
    settings: AllSettings,
    make_database: MakeDatabase,
    *,
    stored: None,
    tmp_path: Path,
) -> Job:
    """A takeover of the dirty original that has not begun."""
    return make_job(servers, settings, make_database, tmp_path)


@pytest.fixture(scope="module")
def taken(
    servers: Stack,
    settings: AllSettings,
    make_database: MakeDatabase,
    *,
    stored: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> "Taken":
    """The dirty original, taken over once, after a dry run."""
    job = make_job(servers, settings, make_database, tmp_path_factory.mktemp("takeover"))
    reports = []
    for is_dry in (True, False):
        with redirect_stdout(io.StringIO()) as printed:
            assert asyncio.run(job.run(is_dry=is_dry)) == 0
        reports.append(printed.getvalue().splitlines())
    return Taken(job, *reports)


@dataclass(frozen=True)
class Taken:
    """What a dry run and then the run printed, and where everything is now."""

    job: Job
    dry_report: list[str]
    report: list[str]

    @property
    def mysql(self) -> MySQLSettings:
        return self.job.ours.mysql


@pytest.fixture
async def result(taken: Taken) -> AsyncIterator[Database]:
    """The database that was filled."""
    async with open_database(taken.mysql) as database:
        yield database
