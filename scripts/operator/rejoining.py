"""Lets a server follow the source: one that is new, one that was replaced, one that stood still."""

import subprocess
import tempfile
from pathlib import Path

from dal.db.connections import MySQLSettings
from dal.db.replication import Server
from scripts.operator.cluster import Cluster, Refused
from scripts.stack.processes import wait_until

CATCH_UP_WITHIN_S = 120.0
COPY_WITHIN_S = 6 * 3600


def rejoin(cluster: Cluster, address: str, *, rebuild: bool, dry_run: bool) -> None:
    """Let one server, or all that do not, follow the source, and let commits wait for it again.

    Raises:
        Refused: there is no source, or the server has what the source has not.
    """
    source = cluster.source
    if source is None:
        raise Refused("no server takes writes: run scripts/failover first")
    if address == "all":
        servers = [server for server in cluster.servers if server is not source]
    else:
        servers = [cluster.get(address)]
    for server in servers:
        if server is source:
            raise Refused(f"{address} is the source")
        _rejoin_one(cluster, source, server, rebuild=rebuild, dry_run=dry_run)
    if servers and not dry_run:
        # From here on a commit is answered when a replica has it.
        source.set_confirmed(on=True)


def _rejoin_one(
    cluster: Cluster, source: Server, server: Server, *, rebuild: bool, dry_run: bool
) -> None:
    if not rebuild and server.source == source.address and not server.replication_error:
        print(f"{server.address} follows {source.address} already")
        return
    is_filled = rebuild or server.is_empty
    steps = f"fill {server.address} from {source.address} and " if is_filled else ""
    if dry_run:
        print(f"would {steps}let {server.address} follow {source.address}")
        return
    if is_filled:
        server.cut_off()
        server.set_confirmed(on=False)
        server.empty()
        _copy(source, server)
    elif not source.has_all(source.position, server.position):
        raise _diverged(source, server, f"it has {server.position}")
    server.follow(source, cluster.settings.replication)
    _wait_until_it_follows(source, server)
    print(f"{server.address} follows {source.address}")


def _wait_until_it_follows(source: Server, server: Server) -> None:
    position = source.position

    def has_settled() -> bool:
        return bool(server.replication_error) or server.has_all(server.position, position)

    settled = wait_until(has_settled, timeout_s=CATCH_UP_WITHIN_S)
    if problem := server.replication_error:
        raise _diverged(source, server, problem)
    if not settled:
        raise Refused(f"{server.address} follows, but has only {server.position} of {position}")


def _diverged(source: Server, server: Server, problem: str) -> Refused:
    return Refused(
        f"{server.address} has what {source.address} has not, which nobody was told is done ({problem}):"
        f" run scripts/failover --rejoin {server.address} --rebuild, which drops it"
    )


def _copy(source: Server, server: Server) -> None:
    """Fill an empty server with what the source has, while it goes on, and note up to where that is.

    Raises:
        Refused: the programs of the server are missing, or one failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        come_from, go_to = Path(folder) / "source.cnf", Path(folder) / "server.cnf"
        come_from.write_text(_to_options(source.settings))
        # What is loaded must not become transactions of this server's own.
        go_to.write_text(f"{_to_options(server.settings)}init-command=SET SESSION sql_log_bin=0\n")
        name, *options = source.statements.dump
        dump = [name, f"--defaults-file={come_from}", *options]
        load = [server.statements.load, f"--defaults-file={go_to}"]
        try:
            _pipe([*dump, "--databases", source.settings.database], load)
        except FileNotFoundError as exc:
            raise Refused(f"{exc.filename} is not installed here") from exc


def _pipe(dump: list[str], load: list[str]) -> None:
    with (
        tempfile.TemporaryFile() as problems,
        subprocess.Popen(dump, stdout=subprocess.PIPE, stderr=problems) as reading,
    ):
        loaded = subprocess.run(
            load, stdin=reading.stdout, stderr=problems, check=False, timeout=COPY_WITHIN_S
        )
        if reading.wait(timeout=60) or loaded.returncode:
            problems.seek(0)
            raise Refused(f"the copy failed: {problems.read().decode(errors='replace').strip()}")


def _to_options(settings: MySQLSettings) -> str:
    tls = ""
    if settings.tls:
        files = {
            "ssl-ca": settings.tls.ca_file,
            "ssl-cert": settings.tls.certificate_file,
            "ssl-key": settings.tls.key_file,
        }
        tls = "".join(f"{name}={path}\n" for name, path in files.items() if path)
    secret = settings.password.get_secret_value().replace("\\", "\\\\").replace('"', '\\"')
    return (
        f"[client]\nhost={settings.host}\nport={settings.port}\nprotocol=TCP\n"
        f'user={settings.user}\npassword="{secret}"\ndefault-character-set=utf8mb4\n{tls}'
    )
