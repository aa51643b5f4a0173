"""A source of MySQL and its replicas under a supervisor, writers that never stop, and an operator who moves the source."""

import asyncio
import itertools
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import select

from dal.db.connections import MySQLSettings
from dal.db.engine import Database, open_database
from dal.db.models import User
from dal.db.users import insert_user
from pkg.errors import DeadlineExceeded, DependencyUnavailable
from pkg.settings import ProcessSettings
from scripts.private_files import write_private
from scripts.stack import Stack
from scripts.stack.environment import without_settings
from scripts.stack.processes import is_alive, wait_until
from scripts.stack.site import REPOSITORY
from tests.stacks import private_stack

NAMES = ("mysql", "mysql-replica-1", "mysql-replica-2")


class ClusterSettings(ProcessSettings):
    mysql: MySQLSettings


@dataclass
class MySQLCluster:
    """Servers of one database, migrated and replicating."""

    stack: Stack

    @property
    def settings(self) -> MySQLSettings:
        """Those of a service."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.stack.environment().items():
                patch.setenv(name, value)
            return ClusterSettings.load().mysql

    def address(self, name: str) -> str:
        return f"127.0.0.1:{self.stack.site.ports.of(name)}"

    def failover(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run scripts/failover as a person does."""
        return subprocess.run(
            [REPOSITORY / "scripts" / "failover", *arguments],
            env=without_settings(os.environ) | self.stack.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def interrupt_failover(self, told: str) -> None:
        """Run scripts/failover and kill it as soon as it has told this."""
        environment = without_settings(os.environ) | self.stack.environment()
        with subprocess.Popen(
            [self.stack.site.python, "-u", "-m", "scripts.operator.failover"],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stdout
            if not any(told in line for line in running.stdout):
                raise AssertionError(f"it never told {told!r}")
            running.kill()

    @contextmanager
    def lost(self, name: str) -> Iterator[None]:
        """Kill a server, which is not started again until the block ends."""
        script = self.stack.site.launch_script(name)
        content = script.read_bytes()
        write_private(script, "exit 1\n")
        pid = self.stack.pid(name)
        os.kill(pid, signal.SIGKILL)
        if not wait_until(lambda: not is_alive(pid), timeout_s=10):
            raise TimeoutError(f"{name} does not die")
        try:
            yield
        finally:
            write_private(script, content)
            self.stack.stop(name)
            self.stack.start(name)

    def run(self, name: str, statement: str) -> list[tuple[object, ...]]:
        """Run one statement on one server as root."""
        socket = self.stack.site.socket_dir / f"{name}.sock"
        with (
            pymysql.connect(
                unix_socket=str(socket), autocommit=True, ssl_disabled=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return list(cursor.fetchall())


@contextmanager
def running_cluster(folder: Path, *, replicas: int) -> Iterator[MySQLCluster]:
    """Start a source and its replicas; nothing of them is left afterwards."""
    with private_stack(folder, mysql_replicas=replicas) as stack:
        stack.up(only=NAMES[: replicas + 1])
        stack.attach_replicas()
        stack.migrate()
        yield MySQLCluster(stack)


@dataclass
class Writers:
    """Users that were inserted, one after the other by each writer, with what each write was answered."""

    database: Database
    acknowledged: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unseen: list[str] = field(
        default_factory=list
    )  # acknowledged, and not found on the source directly afterwards

    async def write(self, stop: asyncio.Event) -> None:
        """Write until `stop`; a failure is a pause, as it is for a caller."""
        prefix = uuid.uuid4().hex[:12]
        for number in itertools.count():
            if stop.is_set():
                return
            name = f"{prefix} {number}"
            try:
                async with self.database.write() as connection:
                    await insert_user(connection, name=name, password_hash="none")
            except (DependencyUnavailable, DeadlineExceeded):
                self.unknown.append(name)
                await asyncio.sleep(0.05)
                continue
            self.acknowledged.append(name)
            await self._look_for(name)

    async def _look_for(self, name: str) -> None:
        try:
            async with self.database.read_source() as connection:
                found = await connection.scalar(select(User.id).where(User.user_name == name))
        except (DependencyUnavailable, DeadlineExceeded):
            return
        if found is None:
            self.unseen.append(name)

    async def list_lost(self) -> set[str]:
        """Return what was acknowledged and is not there."""
        async with self.database.read_source() as connection:
            names = await connection.scalars(select(User.user_name))
            return set(self.acknowledged) - set(names)


@asynccontextmanager
async def writing(settings: MySQLSettings, *, writers: int) -> AsyncIterator[Writers]:
    """Write all the time, by one process's database that follows the source as a service's does."""
    stop = asyncio.Event()
    async with open_database(settings) as database, asyncio.TaskGroup() as tasks:
        made = Writers(database)
        tasks.create_task(database.check_nodes(stop))
        for _ in range(writers):
            tasks.create_task(made.write(stop))
        try:
            yield made
        finally:
            stop.set()
