"""What an administrator does to the servers of one database: close one, let one follow another, make one the source.

The statements are those of MySQL 8.4 or of MariaDB 10.11, whichever a server is; all servers of one database are of the same kind.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from dal.db.connections import MySQLSettings, make_blocking_engine
from dal.db.errors import error_number
from pkg.settings import Secret, Section

# Running transactions end within mysql.statement_timeout_s, a flush in 8 s.
CLOSE_WITHIN_S = 20
# More than any wait of this module.
ANSWER_WITHIN_S = 120
CUT_OFF_ATTEMPTS = 10
OTHER_CLIENTS = (
    "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user <> :user"
    " AND user NOT IN ('system user', 'event_scheduler')"
)
NO_SUCH_TABLE, NO_SUCH_THREAD = 1146, 1094
NO_RIGHT = frozenset({1044, 1142})


class ReplicationSettings(Section):
    """The section `replication`: with whose rights servers are made to follow each other."""

    admin_user: str
    """Who may close and open servers and let them follow; has the same password on each."""
    admin_password: Secret
    """The password of `admin_user`."""
    user: str
    """With whose name a replica logs in on the source."""
    password: Secret
    """The password of `user`."""


class NotCaughtUp(Exception):
    """A server did not get as far as it should in time."""


@dataclass(frozen=True)
class Statements:
    """What the two kinds of servers call differently."""

    position: str
    follow: str
    follow_encrypted: str  # added to `follow`
    wait: str
    waited: int  # what `wait` returns where the position was reached
    forget_history: str
    confirm: tuple[str, ...]
    confirming: str
    received: str
    close: tuple[str, ...]
    open: tuple[str, ...]
    dump: tuple[str, ...]
    load: str


MARIADB = Statements(
    position="SELECT @@global.gtid_current_pos",
    follow="CHANGE MASTER TO MASTER_HOST=:host, MASTER_PORT=:port, MASTER_USER=:user, MASTER_PASSWORD=:password,"
    " MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1",
    follow_encrypted=", MASTER_SSL=1",
    wait="SELECT MASTER_GTID_WAIT(:position, :timeout_s)",
    waited=0,
    forget_history="RESET MASTER",
    confirm=("SET GLOBAL rpl_semi_sync_master_enabled = :on",),
    confirming="Rpl_semi_sync_master_clients",
    received="Gtid_IO_Pos",
    close=("SET GLOBAL read_only = ON",),
    open=("SET GLOBAL read_only = OFF",),
    dump=("mariadb-dump", "--single-transaction", "--gtid", "--master-data=1"),
    load="mariadb",
)
# PERSIST, so that a restart changes no role.
MYSQL = Statements(
    position="SELECT @@global.gtid_executed",
    follow="CHANGE REPLICATION SOURCE TO SOURCE_HOST=:host, SOURCE_PORT=:port, SOURCE_USER=:user, SOURCE_PASSWORD=:password,"
    " SOURCE_AUTO_POSITION=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=0, GET_SOURCE_PUBLIC_KEY=1",
    follow_encrypted=", SOURCE_SSL=1",
    wait="SELECT WAIT_FOR_EXECUTED_GTID_SET(:position, :timeout_s)",
    waited=0,
    forget_history="RESET BINARY LOGS AND GTIDS",
    confirm=("SET PERSIST rpl_semi_sync_source_enabled = :on",),
    confirming="Rpl_semi_sync_source_clients",
    received="Retrieved_Gtid_Set",
    close=("SET PERSIST read_only = ON",),
    open=("SET PERSIST super_read_only = OFF", "SET PERSIST read_only = OFF"),
    dump=("mysqldump", "--single-transaction", "--set-gtid-purged=ON"),
    load="mysql",
)


class Server:
    """One server, as its administrator sees it."""

    def __init__(self, address: str, settings: MySQLSettings, connection: Connection) -> None:
        self.address = address
        self.settings = settings
        self._connection = connection
        self.is_mariadb = bool(connection.dialect.is_mariadb)  # type: ignore[attr-defined]
        self.statements = MARIADB if self.is_mariadb else MYSQL

    @property
    def is_read_only(self) -> bool:
        """Whether it refuses writes of everybody but administrators and its own replication."""
        return bool(self._scalar("SELECT @@global.read_only"))

    @property
    def is_empty(self) -> bool:
        """Whether its database has no table."""
        count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = :name"
        return not self._scalar(count, name=self.settings.database)

    @property
    def source(self) -> str | None:
        """The address that it follows, whether or not that works; None where it follows nobody."""
        status = self.status()
        if not status:
            return None
        host = status.get("Source_Host", status.get("Master_Host"))
        return f"{host}:{status.get('Source_Port', status.get('Master_Port'))}"

    @property
    def position(self) -> str:
        """Every transaction that it has: GTIDs."""
        return str(self._scalar(self.statements.position) or "").replace("\n", "")

    @property
    def received(self) -> str:
        """What it has received and perhaps not applied."""
        return str(self.status().get(self.statements.received) or "").replace("\n", "")

    @property
    def confirming_replicas(self) -> int:
        """How many replicas acknowledge what is written here."""
        row = self._run("SHOW GLOBAL STATUS LIKE :name", name=self.statements.confirming).first()
        return int(row[1]) if row else 0

    def status(self) -> dict[str, Any]:
        """Return what it says of its replication; nothing where it follows nobody."""
        row = self._run("SHOW REPLICA STATUS").mappings().first()
        return dict(row) if row else {}

    @property
    def replication_error(self) -> str:
        """Why its replication stands still, "" where it does not."""
        status = self.status()
        return str(status.get("Last_IO_Error") or status.get("Last_SQL_Error") or "")

    def read_term(self) -> int:
        """Return how many fail-overs it knows of."""
        try:
            return int(self._scalar(f"SELECT term FROM {self._table} WHERE id = 1") or 0)  # noqa: S608
        except DBAPIError as exc:
            if error_number(exc) == NO_SUCH_TABLE:
                return 0
            raise

    def close(self) -> None:
        """Refuse writes from now on, when those under way are done; still refused after a restart.

        Raises:
            OperationalError: they do not end in time.
        """
        self._close(within_s=CLOSE_WITHIN_S)

    def cut_off(self) -> None:
        """Refuse writes, and break the connections of those that wait for a confirmation: nobody may be told of one any more.

        Raises:
            OperationalError: they come back faster than they are broken.
        """
        for attempts_left in reversed(range(CUT_OFF_ATTEMPTS)):
            for process_id in self._run(OTHER_CLIENTS, user=self.settings.user).scalars():
                self._kill(process_id)
            try:
                self._close(within_s=1)
            except OperationalError:
                if not attempts_left:
                    raise
            else:
                return

    def _kill(self, process_id: int) -> None:
        try:
            self._run("KILL :id", id=process_id)
        except DBAPIError as exc:
            if error_number(exc) != NO_SUCH_THREAD:
                raise

    def _close(self, *, within_s: int) -> None:
        self._run("SET SESSION lock_wait_timeout = :seconds", seconds=within_s)
        self._run_all(self.statements.close)
        self._note_role(is_source=False)

    def open_as_source(self) -> None:
        """Take writes, under a term of its own that goes to the replicas first."""
        self._run(
            f"UPDATE {self._table} SET term = term + 1, source = :source WHERE id = 1",  # noqa: S608
            source=self.address,
        )
        self._note_role(is_source=True)
        self._run_all(self.statements.open)

    def reopen(self) -> None:
        """Take writes again, as the source that it has been."""
        self._note_role(is_source=True)
        self._run_all(self.statements.open)

    def set_confirmed(self, *, on: bool) -> None:
        """Answer a commit only when a replica has it, or without."""
        self._run_all(self.statements.confirm, on=int(on))

    def stop_receiving(self) -> None:
        """Acknowledge nothing any more to the server that it follows."""
        self._run("STOP REPLICA IO_THREAD")

    def forget_source(self) -> None:
        """Follow nobody."""
        self._run("STOP REPLICA")
        self._run("RESET REPLICA ALL")

    def follow(self, source: "Server", login: ReplicationSettings) -> None:
        """Follow `source` from where it is itself, and refuse writes of others."""
        if not self.is_read_only:
            self.cut_off()
        self.set_confirmed(on=False)
        self._run("STOP REPLICA")
        if self.is_mariadb and not self.status():
            # What it wrote itself as a source is what it has.
            self._run("SET GLOBAL gtid_slave_pos = @@global.gtid_current_pos")
        encrypted = self.statements.follow_encrypted if source.settings.tls else ""
        self._run(
            self.statements.follow + encrypted,
            host=source.settings.host,
            port=source.settings.port,
            user=login.user,
            password=login.password.get_secret_value(),
        )
        self._run("START REPLICA")

    def wait_for(self, position: str, *, timeout_s: float) -> None:
        """Wait until it has applied everything up to a position.

        Raises:
            NotCaughtUp: it does not in time.
        """
        waited = self._scalar(self.statements.wait, position=position, timeout_s=timeout_s)
        if waited != self.statements.waited:
            raise NotCaughtUp(f"{self.address} has {self.position}, not {position}")

    def empty(self) -> None:
        """Drop the database and its history here alone, to be filled with a copy."""
        self.forget_source()
        self._run("SET SESSION sql_log_bin = 0")
        self._run(f"DROP DATABASE IF EXISTS `{self.settings.database}`")
        self._run(self.statements.forget_history)
        if self.is_mariadb:
            self._run("SET GLOBAL gtid_slave_pos = ''")
        self._run("SET SESSION sql_log_bin = 1")

    def has_all(self, position: str, of: str) -> bool:
        """Return whether `position` has every transaction of the position `of`."""
        if not self.is_mariadb:
            return bool(
                self._scalar("SELECT GTID_SUBSET(:of, :position)", of=of, position=position)
            )
        mine = _newest_by_domain(position)
        others = _newest_by_domain(of)
        return all(number <= mine.get(domain, 0) for domain, number in others.items())

    @property
    def _table(self) -> str:
        return f"`{self.settings.database}`.replication_term"

    def _note_role(self, *, is_source: bool) -> None:
        """Let MariaDB's init file know after a restart what this server is; MySQL persists it by itself."""
        if not self.is_mariadb:
            return
        self._run("SET SESSION sql_log_bin = 0")
        try:
            self._run(
                "REPLACE INTO dousheng_node.role (id, is_source) VALUES (1, :on)", on=is_source
            )
        except DBAPIError as exc:
            # Servers whose operator writes the role into their configuration have no such table.
            if error_number(exc) not in NO_RIGHT | {NO_SUCH_TABLE}:
                raise
        finally:
            self._run("SET SESSION sql_log_bin = 1")

    def _run_all(self, statements: tuple[str, ...], **values: object) -> None:
        for statement in statements:
            self._run(statement, **values)

    def _run(self, statement: str, **values: object) -> Any:
        return self._connection.execute(text(statement), values)

    def _scalar(self, statement: str, **values: object) -> Any:
        return self._run(statement, **values).scalar()


@contextmanager
def administered(
    mysql: MySQLSettings, admin: ReplicationSettings, address: str, *, timeout_s: float
) -> Iterator[Server]:
    """Log in on one server as its administrator.

    Raises:
        OperationalError: it does not answer.
    """
    host, _, port = address.rpartition(":")
    settings = mysql.model_copy(
        update={
            "host": host,
            "port": int(port),
            "user": admin.admin_user,
            "password": admin.admin_password,
            "connect_timeout_s": timeout_s,
        }
    )
    # Not into the database: a server that is to be filled has none.
    anywhere = settings.model_copy(update={"database": ""})
    # The driver's deadline of connecting does not hold for a server that accepts and says nothing.
    with make_blocking_engine(anywhere, read_timeout_s=math.ceil(timeout_s)).connect():
        pass
    engine = make_blocking_engine(anywhere, read_timeout_s=ANSWER_WITHIN_S)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield Server(address, settings, connection)


def _newest_by_domain(position: str) -> dict[str, int]:
    """Return the number of the newest transaction of each domain; MariaDB's positions are `domain-server-number`."""
    parts = (gtid.strip().split("-") for gtid in position.split(",") if gtid.strip())
    return {domain: int(number) for domain, _server, number in parts}
