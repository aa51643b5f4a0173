"""The environment that every process of one stack gets: settings over config/*.yml."""

import json
from collections.abc import Mapping

from scripts.stack.authority import OPERATOR
from scripts.stack.component import LOCALHOST
from scripts.stack.credentials import CRYPT_KEY_ID, TOKEN_KEY_ID
from scripts.stack.ports import SERVICES
from scripts.stack.servers import etcd, mysql, rabbitmq, s3
from scripts.stack.site import Site

# What listens on a port; etcd's socket lies in a private folder.
_TLS_SECTIONS = ("mysql", "redis_actions", "redis_cache", "rabbitmq", "storage", "rpc")


def make_environment(site: Site, overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the DOUSHENG_ variables of a stack; `overrides` win."""
    sections: dict[str, dict[str, object]] = {
        **_servers(site),
        **_keys(site),
        **{section: _process(site, section, 1) for section in (*SERVICES, "gateway")},
        "log": {"format": "text"},
    }
    values = _to_variables(sections) | make_tls_environment(site, OPERATOR)
    values["DOUSHENG_PORT_BASE"] = str(site.ports.base)
    values["DOUSHENG_CONFIG_DIR"] = str(site.config_dir)
    return values | dict(overrides)


def make_instance_environment(site: Site, section: str, instance: int) -> dict[str, str]:
    """Return the variables that tell a further instance of a process from the first: its ports and its folder."""
    return _to_variables({section: _process(site, section, instance)})


def make_tls_environment(site: Site, name: str) -> dict[str, str]:
    """Return the variables with which a process connects to everything under its own certificate; none in plain text."""
    if not site.has_tls:
        return {}
    files = json.dumps(site.tls_files_of(name))
    return {f"DOUSHENG_{section}__TLS".upper(): files for section in _TLS_SECTIONS}


def name_instance(section: str, instance: int) -> str:
    """Return what an instance is called: "gateway", the second "gateway-2"."""
    return section if instance == 1 else f"{section}-{instance}"


def _to_variables(sections: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    return {
        f"DOUSHENG_{section}__{key}".upper(): str(value)
        for section, keys in sections.items()
        for key, value in keys.items()
    }


def _at(site: Site, name: str, **more: object) -> dict[str, object]:
    return {"host": LOCALHOST, "port": site.ports.of(name), **more}


def _among(site: Site, name: str, **more: object) -> dict[str, object]:
    """Return the settings of a server that may be one of several nodes."""
    return {"nodes": json.dumps([f"{LOCALHOST}:{site.ports.of(name)}"]), **more}


def _servers(site: Site) -> dict[str, dict[str, object]]:
    known = site.credentials
    return {
        "mysql": _at(
            site,
            "mysql",
            user=mysql.USER,
            password=known.mysql,
            database=mysql.DATABASE,
            replicas=json.dumps(
                [
                    f"{LOCALHOST}:{site.ports.of(f'mysql-replica-{number}')}"
                    for number in range(1, site.mysql_replicas + 1)
                ]
            ),
        ),
        "replication": {
            "admin_user": mysql.ADMIN_USER,
            "admin_password": known.mysql_admin,
            "user": mysql.REPLICA_USER,
            "password": known.mysql_replica,
        },
        "redis_actions": _among(site, "redis-actions", password=known.redis_actions),
        "redis_cache": _among(site, "redis-cache", password=known.redis_cache),
        "rabbitmq": _among(
            site,
            "rabbitmq",
            user=rabbitmq.USER,
            password=known.rabbitmq,
            virtual_host=rabbitmq.VIRTUAL_HOST,
        ),
        "etcd": {"nodes": json.dumps([etcd.address_of(site)])},
        "storage": _at(
            site,
            "s3",
            access_key=known.s3_access_key,
            secret_key=known.s3_secret_key,
            region=s3.REGION,
        ),
    }


def _keys(site: Site) -> dict[str, dict[str, object]]:
    keys = site.keys
    return {
        "token": {
            "key_id": TOKEN_KEY_ID,
            "private_key_file": keys.token_private,
            "public_keys_dir": keys.token_public_dir,
        },
        "crypt": {"key_id": CRYPT_KEY_ID, "private_keys_dir": keys.crypt_private_dir},
    }


def _process(site: Site, section: str, instance: int) -> dict[str, object]:
    """Return where an instance of one of the product's processes listens, and what else is its own."""
    ports = site.ports
    own: dict[str, object] = {"host": LOCALHOST, "port": ports.of(section, instance)}
    if section in {"gateway", "video"}:
        own["spool_dir"] = site.place / "spool" / name_instance(section, instance)
    if section == "gateway":
        return own | {"media_port": ports.of("nginx")}
    metrics_port = ports.of(f"{section}-metrics", instance)
    return own | {"advertise_host": LOCALHOST, "metrics_port": metrics_port}


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without DOUSHENG_ variables."""
    return {name: value for name, value in environment.items() if not name.startswith("DOUSHENG_")}
