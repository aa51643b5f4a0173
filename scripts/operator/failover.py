"""Moves the source of MySQL to another server of `mysql.host` and `mysql.replicas`, and loses nothing that was acknowledged.

While the source answers it is closed first, and the next one takes writes when it has everything. When it does not answer, the replicas
stop acknowledging to it, apply what they have received, and the most advanced one takes writes. The services follow by themselves. A
server that was replaced, or is new, follows the source with `--rejoin`. Safe to run again after an interruption. Exit status: 0 done,
1 refused and nothing was changed, 2 a server failed in the middle: run it again.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, OperationalError

from dal.db.replication import NotCaughtUp, Server
from scripts.operator.cluster import Cluster, FailoverSettings, Refused, connect
from scripts.operator.console import quiet_logs
from scripts.operator.rejoining import rejoin
from scripts.operator.settings import load_settings
from scripts.stack.processes import wait_until

CATCH_UP_WITHIN_S = 60.0
FOLLOW_WITHIN_S = 30.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """Which server becomes the source, and who follows it."""

    old: Server | None  # takes writes now
    new: Server
    followers: Sequence[Server]

    def describe(self) -> list[str]:
        """Return the steps in the order in which they are taken."""
        lines = []
        if self.old is not None:
            lines += [
                f"close {self.old.address} for writes",
                f"wait until {self.new.address} has everything that {self.old.address} has",
            ]
        else:
            lines.append("let no replica acknowledge to the old source any more")
            lines.append("let every replica apply what it has received")
        lines += [f"let {server.address} follow {self.new.address}" for server in self.followers]
        if not self.followers:
            lines.append(f"let {self.new.address} answer commits alone: there is no replica")
        lines.append(f"open {self.new.address} for writes")
        return lines


def make_plan(cluster: Cluster, *, to: str | None, without: Sequence[str]) -> Plan:
    """Choose the new source among the servers that follow the old one, or did; one that was replaced and left is none of them.

    Raises:
        Refused: something that was acknowledged could be lost.
    """
    old = cluster.source
    if old is not None and to == old.address:
        raise Refused(f"{to} is the source already")
    if old is None:
        _require_all_copies(cluster, without)
        candidates = [*cluster.heads, *cluster.followers]
    else:
        candidates = [server for server in cluster.servers if server.source == old.address]
    if not candidates:
        raise Refused("there is no other server that could become the source")
    new = cluster.get(to) if to else _most_advanced(candidates)
    if new not in candidates:
        raise Refused(f"{new.address} does not follow the source: let it --rejoin first")
    if old is None and not new.has_all(_reach(new), _reach(_most_advanced(candidates))):
        raise Refused(f"{new.address} has not received everything; leave --to away")
    followers = [server for server in candidates if server is not new]
    return Plan(old, new, [old, *followers] if old else followers)


def _require_all_copies(cluster: Cluster, without: Sequence[str]) -> None:
    """Refuse where what was acknowledged may be on servers alone that do not answer: each commit is on the source and on one replica."""
    lost = [address for address in cluster.missing if address not in without]
    if len(lost) > 1:
        raise Refused(
            f"{' and '.join(lost)} do not answer, and may hold what nobody else has: start all but the source, or name those"
            " that took part in nothing since they were lost with --without"
        )
    for server in cluster.servers:
        if not lost or server.source == lost[0] or server.address in without:
            continue
        if not _was_being_promoted(cluster, server.source or server.address):
            raise Refused(
                f"{server.address} follows {server.source or 'nobody'} and not {lost[0]}, so it may lack what was acknowledged"
                f" there: start {lost[0]}; or say --without {lost[0]} if it was not the source, or the move from it was interrupted"
            )


def _was_being_promoted(cluster: Cluster, address: str) -> bool:
    """Whether an interrupted run had chosen this server: it follows nobody, and has all that any replica has."""
    return any(
        head.address == address
        and cluster.followers
        and all(head.has_all(_reach(head), _reach(server)) for server in cluster.followers)
        for head in cluster.heads
    )


def _reach(server: Server) -> str:
    """What a server has applied, or will have when it has applied what it received."""
    position, received = server.position, server.received
    if server.is_mariadb:
        return received if received and server.has_all(received, position) else position
    return ",".join(part for part in (position, received) if part)


def _most_advanced(servers: Sequence[Server]) -> Server:
    best = servers[0]
    for server in servers[1:]:
        if not server.has_all(_reach(best), _reach(server)):
            best = server
    return best


def carry_out(plan: Plan, settings: FailoverSettings, say: Say) -> None:
    """Move the source.

    Raises:
        NotCaughtUp: a server does not get what it must have, and was not made the source.
    """
    if plan.old is not None:
        _close(plan.old, plan.new, say)
    else:
        plan = _drain(plan, say)
    plan.new.forget_source()
    plan.new.set_confirmed(on=bool(plan.followers))
    for server in plan.followers:
        server.follow(plan.new, settings.replication)
        say(f"{server.address} follows {plan.new.address}")
    if plan.followers:
        _wait_for_confirmation(plan)
    plan.new.open_as_source()
    say(f"{plan.new.address} is the source, term {plan.new.read_term()}")


def _close(old: Server, new: Server, say: Say) -> None:
    """Take no more writes, and wait until the next source has all of them; take writes again if that fails."""
    try:
        old.close()
        new.wait_for(old.position, timeout_s=CATCH_UP_WITHIN_S)
    except (NotCaughtUp, OperationalError) as exc:
        old.reopen()
        raise Refused(f"{old.address} is open again: {exc}") from exc
    say(f"{old.address} is closed, {new.address} has everything that it has")


def _drain(plan: Plan, say: Say) -> Plan:
    """Fence off the old source, let every replica apply what it has, and choose the one with most."""
    servers = [plan.new, *plan.followers]
    replicas = [server for server in servers if server.source is not None]
    for server in replicas:
        server.stop_receiving()
    for server in replicas:
        server.wait_for(_reach(server), timeout_s=CATCH_UP_WITHIN_S)
    say("no replica acknowledges to the old source any more, and all have applied what they have")
    best = _most_advanced(servers)
    return Plan(None, best, [server for server in servers if server is not best])


def _wait_for_confirmation(plan: Plan) -> None:
    """Wait until a replica acknowledges to the new source, which could answer no commit otherwise."""
    if not wait_until(lambda: plan.new.confirming_replicas > 0, timeout_s=FOLLOW_WITHIN_S):
        reasons = "; ".join(server.replication_error for server in plan.followers)
        raise NotCaughtUp(f"no replica acknowledges to {plan.new.address}: {reasons}")


def run(options: argparse.Namespace, settings: FailoverSettings) -> int:
    """Do what was asked for and return the exit status."""
    with ExitStack() as stack:
        try:
            cluster = connect(stack, settings)
            if options.rejoin:
                rejoin(cluster, options.rejoin, rebuild=options.rebuild, dry_run=options.dry_run)
                return 0
            plan = make_plan(cluster, to=options.to, without=options.without)
            if options.dry_run:
                print("\n".join(f"would {line}" for line in plan.describe()))
                return 0
            carry_out(plan, settings, print)
        except Refused as exc:
            print(f"refused: {exc}", file=sys.stderr)
            return 1
        except (DBAPIError, NotCaughtUp) as exc:
            cause = exc.orig if isinstance(exc, DBAPIError) else exc
            print(f"interrupted, run it again: {cause}", file=sys.stderr)
            return 2
    return 0


def main() -> int:
    """Entry of scripts/failover."""
    parser = argparse.ArgumentParser(prog="scripts/failover", description=__doc__)
    address = "HOST:PORT"
    parser.add_argument(
        "--to", metavar=address, help="which becomes the source (default: the most advanced)"
    )
    parser.add_argument(
        "--without",
        metavar=address,
        action="append",
        default=[],
        help="a server that may be missing: it took part in nothing since it was lost",
    )
    parser.add_argument(
        "--rejoin",
        metavar=f"{address}|all",
        help="let a server follow the source; an empty one is filled first",
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="with --rejoin: drop what the server has, and fill it",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    options = parser.parse_args()
    if options.rebuild and options.rejoin in (None, "all"):
        parser.error("--rebuild needs --rejoin HOST:PORT: of the servers one at a time")
    quiet_logs()
    return run(options, load_settings(FailoverSettings))


if __name__ == "__main__":
    sys.exit(main())
