"""MySQL: every server answers, one takes writes, the others keep up, and the schema is the newest."""

import asyncio
from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError

from dal.db.nodes import Node, Nodes, NodeState
from dal.db.schema_version import get_version, is_new_enough, newest_version
from pkg.errors import DeadlineExceeded, DependencyUnavailable
from scripts.operator.doctor.answers import ask_all
from scripts.operator.doctor.finding import Away, Finding
from scripts.operator.doctor.target import Target

ROLE = "mysql"


async def look_at_servers(target: Target) -> Sequence[Finding]:
    """Every server lets the services in, and one of them takes writes."""
    nodes = Nodes(target.settings.mysql)
    states: dict[str, NodeState] = {}

    async def ask(address: str) -> None:
        node = next(node for node in nodes.all if node.address == address)
        states[address] = await node.ask()

    addresses = [node.address for node in nodes.all]
    try:
        findings, _ = await asyncio.gather(
            ask_all(target, ROLE, addresses, ask), target.database.find_source()
        )
    finally:
        await nodes.close()
    if any(state.is_source for state in states.values()):
        return findings
    if findings:
        raise Away(findings)
    evidence = "each follows another one or is read-only"
    command = target.place.command("failover", "--dry-run")
    raise Away([Finding(ROLE, "has no server that takes writes", evidence, command)])


async def look_at_replication(target: Target) -> Sequence[Finding]:
    """No server takes writes beside the source, and every replica keeps up."""
    nodes = Nodes(target.settings.mysql)
    try:
        # One that hangs has had its time.
        asked = await asyncio.gather(
            *(_find_state(node, timeout_s=target.answer_s / 2) for node in nodes.all)
        )
    finally:
        await nodes.close()
    known = [(node, state) for node, state in zip(nodes.all, asked, strict=True) if state]
    term = max((state.term for _, state in known), default=0)
    findings = []
    for node, state in known:
        rejoin = target.place.command("failover", "--rejoin", node.address)
        name = target.place.name_of(ROLE, node.address)
        evidence = f"{node.address}: term {state.term}, the newest is {term}"
        if state.is_source and state.term < term:
            findings.append(Finding(name, "takes writes and was replaced", evidence, rejoin))
        if state.follows and (problem := _find_lag(state, target)):
            findings.append(Finding(name, problem, f"{node.address}: SHOW REPLICA STATUS", rejoin))
    return findings


async def look_at_schema(target: Target) -> Sequence[Finding]:
    """The database has all that this release needs."""
    command = target.place.command("migrate")
    try:
        async with target.database.read_source() as connection:
            found = await get_version(connection)
    except DBAPIError as exc:
        raise Away([Finding("schema", "is not there", str(exc.orig), command)]) from exc
    if is_new_enough(found):
        return []
    evidence = f"the database is at {found}, this release needs {newest_version()}"
    raise Away([Finding("schema", "is too old", evidence, command)])


async def _find_state(node: Node, *, timeout_s: float) -> NodeState | None:
    try:
        async with asyncio.timeout(timeout_s):
            return await node.ask()
    except (DependencyUnavailable, DeadlineExceeded, TimeoutError):
        # Told by who looks at the servers.
        return None


def _find_lag(state: NodeState, target: Target) -> str | None:
    if state.lag_s is None:
        return "has stopped to replicate"
    if state.lag_s > target.settings.mysql.max_replica_lag_s:
        return f"is {state.lag_s} s behind the source"
    return None
