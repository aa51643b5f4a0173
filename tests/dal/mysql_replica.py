"""A replica of the test stack's MySQL, made as docs of MariaDB say, and stopped as outages do it."""

import getpass
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

from scripts.stack.processes import wait_until
from scripts.stack.servers.mysql import REPLICA_USER
from scripts.stack.stack import Stack

START_WITHIN_S = 30
CATCHES_UP_WITHIN_S = 30

if TYPE_CHECKING:
    Connection = pymysql.Connection[pymysql.cursors.DictCursor]


@dataclass
class MySQLReplica:
    """One MariaDB that follows the source."""

    stack: Stack
    folder: Path
    number: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def port(self) -> int:
        return self.stack.site.ports.of(f"mysql-replica-{self.number}")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def _socket(self) -> Path:
        return self.stack.site.socket_dir / f"replica-{self.number}.sock"

    def start(self) -> None:
        """Start the server and wait until it answers; data is made at the first start.

        It ends with the thread that calls this.
        """
        configuration = self.folder / "my.cnf"
        if not configuration.exists():
            (self.folder / "tmp").mkdir(parents=True)
            configuration.write_text(self._configuration())
            self._make_data(configuration)
        initial = self.stack.site.run_dir / "mysql" / "init.sql"
        self._process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "--", "mariadbd"),
                *(f"--defaults-file={configuration}", f"--init-file={initial}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_until_ready()

    def replicate(self) -> None:
        """Follow the source from its first transaction, and wait until everything is there."""
        password = self.stack.site.credentials.mysql_replica
        self.run(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1',"
            f" MASTER_PORT={self.stack.site.ports.of('mysql')}, MASTER_USER='{REPLICA_USER}',"
            f" MASTER_PASSWORD='{password}', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1"
        )
        self.run("START SLAVE")
        (source,) = _run(self.stack.mysql_socket, "SELECT @@gtid_binlog_pos AS position")
        statement = "SELECT MASTER_GTID_WAIT(%s, %s) AS result"
        (waited,) = self.run(statement, source["position"], CATCHES_UP_WITHIN_S)
        if waited["result"] != 0:
            raise TimeoutError("the replica does not catch up")

    def run(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Run one statement as root and return its rows."""
        return _run(self._socket, statement, *values)

    def connect(self) -> "Connection":
        """Log in as root."""
        return _connect(self._socket)

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        """End the server at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)

    def _configuration(self) -> str:
        """The source's, on a port and in a folder of its own."""
        source = self.stack.site.run_dir / "mysql"
        lines = (source / "my.cnf").read_text().replace(str(source), str(self.folder)).splitlines()
        own = {
            "port": self.port,
            "socket": self._socket,
            "server-id": 10 + self.number,
            "innodb-buffer-pool-size": "32M",
            "innodb-log-file-size": "16M",
        }
        kept = [line for line in lines if line.partition("=")[0] not in own]
        return "\n".join([*kept, *(f"{k}={v}" for k, v in own.items()), "read_only", ""])

    def _make_data(self, configuration: Path) -> None:
        subprocess.run(
            [
                *("mariadb-install-db", f"--defaults-file={configuration}", "--skip-test-db"),
                "--auth-root-authentication-method=socket",
                f"--auth-root-socket-user={getpass.getuser()}",
            ],
            capture_output=True,
            check=True,
            timeout=60,
        )

    def _wait_until_ready(self) -> None:
        def answers() -> bool:
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(self._socket)) == 0

        if not wait_until(answers, timeout_s=START_WITHIN_S):
            raise TimeoutError(f"the replica in {self.folder} does not start")


def _connect(socket_path: Path) -> "Connection":
    return pymysql.connect(
        unix_socket=str(socket_path),
        user=getpass.getuser(),
        cursorclass=pymysql.cursors.DictCursor,
        autocommit=True,
    )


def _run(socket_path: Path, statement: str, *values: object) -> list[dict[str, Any]]:
    with _connect(socket_path) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
