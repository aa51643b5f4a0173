"""Databases of a test's own, on the shared server."""

import getpass
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pymysql

from dal.db.engine import MySQLSettings
from scripts.stack import Stack

MakeDatabase = Callable[[], MySQLSettings]


@contextmanager
def making_databases(servers: Stack, mysql: MySQLSettings) -> Iterator[MakeDatabase]:
    """Give what makes an empty database without tables; all are gone at the end."""
    names: list[str] = []
    user = f"'{mysql.user}'@'127.0.0.1'"
    root = pymysql.connect(unix_socket=str(servers.mysql_socket), user=getpass.getuser())
    with root, root.cursor() as cursor:

        def make() -> MySQLSettings:
            name = f"db_test_{uuid.uuid4().hex[:8]}"
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            cursor.execute(f"GRANT ALL ON {name}.* TO {user}")
            names.append(name)
            return MySQLSettings.model_validate(mysql.model_copy(update={"database": name}))

        yield make
        for name in names:
            cursor.execute(f"DROP DATABASE {name}")
            cursor.execute(f"REVOKE ALL ON {name}.* FROM {user}")
