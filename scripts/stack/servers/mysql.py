"""MariaDB as the MySQL of the local stack."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pymysql

from scripts.stack.component import Component, Listener
from scripts.stack.files import get_command
from scripts.stack.report import StackError
from scripts.stack.site import LOCALHOST, Site
from scripts.stack.syntax import to_sql

DATABASE = "db_tiktok"
USER = "dousheng"
REPLICA_USER = "dousheng_replica"
ADMIN_USER = "dousheng_admin"
# A commit is answered when a replica has it, however long that takes: whoever wrote is told in time that the outcome is unknown.
_REPLICATION = """
read-only
rpl-semi-sync-master-wait-point=AFTER_SYNC
rpl-semi-sync-master-timeout=4294967295
rpl-semi-sync-slave-enabled
rpl-semi-sync-slave-kill-conn-timeout=1
relay-log-recovery
slave-parallel-threads=2
"""
_TAKE_ROLE = (
    "SET GLOBAL rpl_semi_sync_master_enabled = (SELECT is_source FROM dousheng_node.role);\n"
    "SET GLOBAL read_only = (SELECT NOT is_source FROM dousheng_node.role);"
)


class MySQL(Component):
    """The source of all truth, or a replica of it: durable at every commit, with a binary log."""

    folders = ("tmp",)
    templates = ("mysql/my.cnf.template", "mysql/init.sql.template")
    stop_within_s = 30

    def __init__(self, site: Site, number: int = 0) -> None:
        super().__init__(site)
        self.number = number
        self.name = f"mysql-replica-{number}" if number else "mysql"
        title = f"MySQL's replica {number}" if number else "MySQL"
        self.listeners = (Listener(self.name, title),)

    @property
    def socket(self) -> Path:
        """Where the owner of the processes logs in as root without a password."""
        return self.site.socket_dir / f"{self.name}.sock"

    @property
    def values(self) -> Mapping[str, object]:
        """Places, ports, users and passwords."""
        return {
            "MYSQL_DIR": self.directory,
            "MYSQL_SOCKET": self.socket,
            "MYSQL_ADDRESS": self.host,
            "MYSQL_PORT": self.port,
            # Who may log in from where: where other machines are served, their addresses are not known here.
            "MYSQL_CLIENTS": LOCALHOST if self.host == LOCALHOST else "%",
            "MYSQL_RUN_AS": "user=root" if os.getuid() == 0 else "",
            "MYSQL_DATABASE": DATABASE,
            # In GRANT an underscore matches any character.
            "MYSQL_DATABASE_PATTERN": DATABASE.replace("_", r"\_"),
            "MYSQL_USER": USER,
            "MYSQL_PASSWORD": to_sql(self.site.credentials.mysql),
            "MYSQL_SERVER_ID": self.number + 1,
            "MYSQL_REPLICATION": _REPLICATION.strip() if self.site.mysql_replicas else "",
            "MYSQL_IS_SOURCE": 0 if self.number else 1,
            "MYSQL_TAKE_ROLE": _TAKE_ROLE if self.site.mysql_replicas else "",
            "MYSQL_ADMIN_USER": ADMIN_USER,
            "MYSQL_ADMIN_PASSWORD": to_sql(self.site.credentials.mysql_admin),
            "MYSQL_REPLICA_USER": REPLICA_USER,
            "MYSQL_REPLICA_PASSWORD": to_sql(self.site.credentials.mysql_replica),
        }

    def prepare(self) -> None:
        """Write the configuration; make the data folder where there is none."""
        super().prepare()
        if not (self.directory / "data").exists():
            self._make_data()

    def _make_data(self) -> None:
        """Make the system tables beside the final place, so that half of them is never used."""
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        made = subprocess.run(
            [
                "mariadb-install-db",
                f"--defaults-file={self.directory / 'my.cnf'}",
                f"--datadir={unfinished}",
                "--auth-root-authentication-method=socket",
                f"--auth-root-socket-user={getpass.getuser()}",
                "--skip-test-db",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            tail = (made.stdout + made.stderr).splitlines()[-20:]
            raise StackError("mariadb-install-db could not make the database", log_tail=tail)
        unfinished.rename(self.directory / "data")

    @property
    def command(self) -> list[str]:
        """The server; users and database are made at every start where they are missing."""
        return [
            get_command("mariadbd"),
            f"--defaults-file={self.directory / 'my.cnf'}",
            f"--init-file={self.directory / 'init.sql'}",
            *self._tls_options(),
        ]

    def _tls_options(self) -> list[str]:
        """Refuse whoever speaks plain text over TCP, where the stack has TLS."""
        if self.tls_pair is None:
            return []
        return [
            "--require-secure-transport=ON",
            f"--ssl-ca={self.site.authority.certificate_file}",
            f"--ssl-cert={self.tls_pair.certificate}",
            f"--ssl-key={self.tls_pair.key}",
        ]

    def probe(self) -> None:
        """Log in as the services do."""
        tls = self.tls_context()
        connection = pymysql.connect(
            host=self.host,
            port=self.port,
            user=USER,
            # Of a text the driver would send Latin 1.
            password=self.site.credentials.mysql.encode(),
            database=DATABASE,
            ssl=tls,
            ssl_disabled=tls is None,
            connect_timeout=2,
            read_timeout=5,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
