"""etcd: it answers, and knows every instance that runs."""

from collections.abc import Sequence

from pkg.registry import list_instances, open_etcd
from scripts.operator.doctor.answers import ask_all
from scripts.operator.doctor.finding import Finding, NotHere
from scripts.operator.doctor.services import SERVICES, instances_of, registered_name
from scripts.operator.doctor.target import Target

ROLE = "etcd"


async def look_at_members(target: Target) -> Sequence[Finding]:
    """Every member answers a read, for which it needs a leader."""
    settings = target.settings.etcd

    async def ask(address: str) -> None:
        async with open_etcd(settings.model_copy(update={"nodes": (address,)})):
            pass

    return await ask_all(target, ROLE, settings.nodes, ask)


async def look_at_registrations(target: Target) -> Sequence[Finding]:
    """Every instance that answers is registered, so that gateways find it."""
    if not target.place.processes:
        raise NotHere("instances are known by their registrations alone")
    registered = await list_instances(target.settings.etcd)
    findings = []
    for service in SERVICES:
        if service in target.away:
            continue
        known = registered.get(registered_name(service), [])
        for name, address in instances_of(target.place, service).items():
            if address not in known:
                evidence = f"{address} is not among {known or 'no registrations'}"
                command = target.place.look_into(name, address)
                findings.append(Finding(name, "is not registered", evidence, command))
    return findings
