"""The environment that every process of one stack gets: settings over config/*.yml."""

import json
from collections.abc import Mapping

from scripts.stack.component import LOCALHOST
from scripts.stack.credentials import CRYPT_KEY_ID, TOKEN_KEY_ID
from scripts.stack.ports import SERVICES
from scripts.stack.servers import etcd, mysql, rabbitmq, s3
from scripts.stack.site import Site


def make_environment(site: Site, overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the DOUSHENG_ variables of a stack; `overrides` win."""
    sections: dict[str, dict[str, object]] = {
        **_servers(site),
        **_keys(site),
        **_processes(site),
        "log": {"format": "text"},
    }
    values = {
        f"DOUSHENG_{section}__{key}".upper(): str(value)
        for section, keys in sections.items()
        for key, value in keys.items()
    }
    values["DOUSHENG_PORT_BASE"] = str(site.ports.base)
    values["DOUSHENG_CONFIG_DIR"] = str(site.config_dir)
    return values | dict(overrides)


def _at(site: Site, name: str, **more: object) -> dict[str, object]:
    return {"host": LOCALHOST, "port": site.ports.of(name), **more}


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
        "redis_actions": _at(site, "redis-actions", password=known.redis_actions),
        "redis_cache": _at(site, "redis-cache", password=known.redis_cache),
        "rabbitmq": _at(
            site,
            "rabbitmq",
            user=rabbitmq.USER,
            password=known.rabbitmq,
            virtual_host=rabbitmq.VIRTUAL_HOST,
        ),
        "etcd": {"host": etcd.host_of(site), "port": site.ports.of("etcd")},
        "storage": _at(
            site,
            "s3",
            secure="false",
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


def _processes(site: Site) -> dict[str, dict[str, object]]:
    ports, spool = site.ports, site.place / "spool"
    sections = {
        name: _at(site, name, advertise_host=LOCALHOST, metrics_port=ports.of(f"{name}-metrics"))
        for name in SERVICES
    }
    sections["video"]["spool_dir"] = spool / "video"
    sections["gateway"] = _at(
        site, "gateway", media_port=ports.of("nginx"), spool_dir=spool / "gateway"
    )
    return sections


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without DOUSHENG_ variables."""
    return {name: value for name, value in environment.items() if not name.startswith("DOUSHENG_")}
