"""Empty databases of their own for tests that fill a whole one, on the server that all tests share."""

import getpass
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pymysql
from pymysql.cursors import Cursor

from dal.db.engine import MySQLSettings
from scripts.stack import Stack

MakeDatabase = Callable[..., MySQLSettings]


@contextmanager
def root_cursor(servers: Stack) -> Iterator[Cursor]:
    """Give a cursor of somebody who may do anything; each statement is a transaction."""
    root = pymysql.connect(
        unix_socket=str(servers.mysql_socket),
        user=getpass.getuser(),
        autocommit=True,
        ssl_disabled=True,
    )
    with root, root.cursor() as cursor:
        yield cursor


@contextmanager
def making_databases(servers: Stack, mysql: MySQLSettings) -> Iterator[MakeDatabase]:
    """Give what makes empty databases, with ALL rights or those that are named; they are gone at the end."""
    names: list[str] = []
    user = f"'{mysql.user}'@'127.0.0.1'"
    with root_cursor(servers) as cursor:

        def make(rights: str = "ALL") -> MySQLSettings:
            name = f"db_test_{uuid.uuid4().hex[:8]}"
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            cursor.execute(f"GRANT {rights} ON {name}.* TO {user}")
            names.append(name)
            return mysql.model_copy(update={"database": name})

        yield make
        for name in names:
            cursor.execute(f"DROP DATABASE {name}")
            cursor.execute(f"REVOKE ALL ON {name}.* FROM {user}")
