"""The environment that every process of one stack gets: settings over config/*.yml."""

import shlex
from collections.abc import Mapping

from scripts.stack.credentials import CRYPT_KEY_ID, TOKEN_KEY_ID
from scripts.stack.servers import mysql, rabbitmq, s3
from scripts.stack.site import Site

SERVICES = ("comment", "favorite", "message", "relation", "user", "video")
_LOCAL = "127.0.0.1"


def make_environment(site: Site, overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the DOUSHENG_ variables of a stack; `overrides` win."""
    sections = {
        **_server_sections(site),
        **_key_sections(site),
        **_process_sections(site),
    }
    values = {
        f"DOUSHENG_{section}__{key}".upper(): str(value)
        for section, keys in sections.items()
        for key, value in keys.items()
    }
    values["DOUSHENG_PORT_BASE"] = str(site.ports.base)
    values["DOUSHENG_CONFIG_DIR"] = str(site.config_dir)
    return values | dict(overrides)


def _server_sections(site: Site) -> dict[str, dict[str, object]]:
    ports, credentials = site.ports, site.credentials
    return {
        "mysql": {
            "host": _LOCAL,
            "port": ports.of("mysql"),
            "user": mysql.USER,
            "password": credentials.mysql,
            "database": mysql.DATABASE,
        },
        "redis_actions": {
            "host": _LOCAL,
            "port": ports.of("redis-actions"),
            "password": credentials.redis_actions,
        },
        "redis_cache": {
            "host": _LOCAL,
            "port": ports.of("redis-cache"),
            "password": credentials.redis_cache,
        },
        "rabbitmq": {
            "host": _LOCAL,
            "port": ports.of("rabbitmq"),
            "user": rabbitmq.USER,
            "password": credentials.rabbitmq,
            "virtual_host": rabbitmq.VIRTUAL_HOST,
        },
        "etcd": {"host": _LOCAL, "port": ports.of("etcd")},
        "storage": {
            "host": _LOCAL,
            "port": ports.of("s3"),
            "secure": "false",
            "access_key": credentials.s3_access_key,
            "secret_key": credentials.s3_secret_key,
            "region": s3.REGION,
        },
    }


def _key_sections(site: Site) -> dict[str, dict[str, object]]:
    keys = site.keys
    return {
        "token": {
            "key_id": TOKEN_KEY_ID,
            "private_key_file": keys.token_private,
            "public_keys_dir": keys.token_public_dir,
        },
        "crypt": {"key_id": CRYPT_KEY_ID, "private_keys_dir": keys.crypt_private_dir},
    }


def _process_sections(site: Site) -> dict[str, dict[str, object]]:
    ports = site.ports
    spool = site.run_dir / "spool"
    sections: dict[str, dict[str, object]] = {
        name: {
            "host": _LOCAL,
            "port": ports.of(name),
            "advertise_host": _LOCAL,
            "metrics_port": ports.of(f"{name}-metrics"),
        }
        for name in SERVICES
    }
    sections["video"]["spool_dir"] = spool / "video"
    sections["gateway"] = {
        "host": _LOCAL,
        "port": ports.of("gateway"),
        "media_port": ports.of("nginx"),
        "spool_dir": spool / "gateway",
    }
    sections["log"] = {"format": "text"}
    return sections


def to_env_file(values: Mapping[str, str]) -> str:
    """Return KEY=VALUE lines that a shell can source too."""
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in sorted(values.items()))
