"""MariaDB as the MySQL of the local stack."""

import getpass
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pymysql

from scripts.stack.errors import StackError
from scripts.stack.files import hash_files, make_private_dir, render, write_private
from scripts.stack.programs import Listener, Program, Tier
from scripts.stack.site import Site

DATABASE = "db_tiktok"
USER = "dousheng"
REPLICA_USER = "dousheng_replica"


@dataclass(frozen=True)
class MySQL:
    """The source of all truth: durable at every commit, with a binary log for replicas."""

    site: Site

    @property
    def directory(self) -> Path:
        """Data and configuration of the server."""
        return self.site.run_dir / "mysql"

    @property
    def socket(self) -> Path:
        """Where the owner of the processes logs in as root without a password."""
        return self.site.socket_dir / "mysql.sock"

    def prepare(self) -> None:
        """Write the configuration; make the data folder where there is none."""
        for name in ("my.cnf", "init.sql"):
            template = self.site.config_dir / "mysql" / f"{name}.template"
            write_private(self.directory / name, render(template, self._values()))
        make_private_dir(self.directory / "tmp")
        if not (self.directory / "data").exists():
            self._make_data()

    def _values(self) -> dict[str, object]:
        return {
            "MYSQL_DIR": self.directory,
            "MYSQL_SOCKET": self.socket,
            "MYSQL_PORT": self.site.ports.of("mysql"),
            "MYSQL_RUN_AS": "user=root" if os.getuid() == 0 else "",
            "MYSQL_DATABASE": DATABASE,
            # In GRANT an underscore matches any character.
            "MYSQL_DATABASE_PATTERN": DATABASE.replace("_", r"\_"),
            "MYSQL_USER": USER,
            "MYSQL_PASSWORD": self.site.credentials.mysql,
            "MYSQL_REPLICA_USER": REPLICA_USER,
            "MYSQL_REPLICA_PASSWORD": self.site.credentials.mysql_replica,
        }

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

    def program(self) -> Program:
        """Return how mariadbd runs."""
        server = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        return Program(
            name="mysql",
            kind="server",
            tier=Tier.SERVERS,
            command=(
                server,
                f"--defaults-file={self.directory / 'my.cnf'}",
                f"--init-file={self.directory / 'init.sql'}",
            ),
            listeners=(Listener("MySQL", self.site.ports.of("mysql")),),
            fingerprint=hash_files(self.directory / "my.cnf", self.directory / "init.sql"),
            stop_within_s=30,
        )

    def probe(self) -> None:
        """Log in as the services do."""
        connection = pymysql.connect(
            host="127.0.0.1",
            port=self.site.ports.of("mysql"),
            user=USER,
            password=self.site.credentials.mysql,
            database=DATABASE,
            connect_timeout=2,
            read_timeout=5,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
