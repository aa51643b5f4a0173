"""Everything that is looked at, those first that others stand on."""

from collections.abc import Sequence

from dal.registers.model import Kind
from scripts.operator.doctor import (
    actions,
    certificates,
    clocks,
    counters,
    disk,
    etcd,
    gateway,
    keys,
    mysql,
    processes,
    rabbitmq,
    redis,
    services,
    storage,
    uploads,
)
from scripts.operator.doctor.examination import Check, Look

PROCESSES = "processes"
SCHEMA = "schema"


def list_checks(*, finds_services_by_etcd: bool) -> list[Check]:
    """Return every check."""
    servers = _list_servers()
    found_by = etcd.ROLE if finds_services_by_etcd else PROCESSES
    presence = [
        _check(PROCESSES, processes.look_at_processes),
        *servers,
        *(_check(name, services.look_at_service(name), found_by) for name in services.SERVICES),
        _check(gateway.ROLE, gateway.look_at_gateways, PROCESSES),
        _check(gateway.EDGE, gateway.look_at_nginx, PROCESSES),
    ]
    return [*presence, *_list_rows(), *_list_flows(), *_list_surroundings(servers)]


def _list_servers() -> list[Check]:
    looks = {
        mysql.ROLE: mysql.look_at_servers,
        redis.ACTIONS: redis.look_at_actions,
        redis.CACHE: redis.look_at_cache,
        rabbitmq.ROLE: rabbitmq.look_at_broker,
        etcd.ROLE: etcd.look_at_members,
        storage.ROLE: storage.look_at_server,
    }
    return [_check(name, look, PROCESSES) for name, look in looks.items()]


def _list_rows() -> list[Check]:
    """Return what looks into the database."""
    return [
        _check("replication", mysql.look_at_replication, mysql.ROLE),
        _check(SCHEMA, mysql.look_at_schema, mysql.ROLE),
        _check("counters", counters.look_at_counters, SCHEMA),
        _check("objects", storage.look_at_objects, SCHEMA, storage.ROLE),
        _check("message keys", keys.look_at_message_keys, SCHEMA),
        _check("uploads", uploads.look_at_uploads, SCHEMA, storage.ROLE, "video"),
    ]


def _list_flows() -> list[Check]:
    """Return what looks at requests and actions on their way."""
    pending = [
        _check(f"pending {kind}", actions.look_at_pending(kind), SCHEMA, redis.ACTIONS, kind.value)
        for kind in Kind
    ]
    queues = [
        _check(
            f"queue {kind}", rabbitmq.look_at_queue(kind), rabbitmq.ROLE, redis.ACTIONS, kind.value
        )
        for kind in Kind
    ]
    return [
        *pending,
        *queues,
        _check("set aside", actions.look_at_aside, redis.ACTIONS),
        _check("dead letters", rabbitmq.look_at_dead_letters, rabbitmq.ROLE),
        _check("redis memory and log", redis.look_at_safety, redis.ACTIONS),
        _check("registrations", etcd.look_at_registrations, etcd.ROLE, minds=services.SERVICES),
        _check(
            "readiness",
            gateway.look_at_readiness,
            *(gateway.EDGE, gateway.ROLE, etcd.ROLE, *services.SERVICES),
        ),
    ]


def _list_surroundings(servers: Sequence[Check]) -> list[Check]:
    """Return what looks at machines and files."""
    return [
        _check(
            "clocks",
            clocks.look_at_clocks,
            minds=(*(server.name for server in servers), gateway.EDGE),
        ),
        _check("disk", disk.look_at_disk),
        _check("certificates", certificates.look_at_certificates, minds=(gateway.EDGE,)),
        _check("token keys", keys.look_at_token_keys),
    ]


def _check(name: str, look: Look, *needs: str, minds: Sequence[str] = ()) -> Check:
    """Return a check that is described in the words of its code."""
    looks_at = (look.__doc__ or "").partition("\n")[0].rstrip(".")
    return Check(name, looks_at, look, needs=needs, minds=tuple(minds))
