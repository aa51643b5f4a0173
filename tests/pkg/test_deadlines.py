"""Deadlines are nested: who waits for somebody waits longer than that one's own deadline. See config/README.md."""

import re
from typing import Any

import pytest

from dal.db.absorption import FLUSH_TIMEOUT_S
from dal.redis.overlay import TIMEOUT_S as OVERLAY_TIMEOUT_S
from dal.redis.pending import FLUSH_LOCK_TTL_S
from gateway.clients import LONGEST_CALL_S
from gateway.middleware import DEADLINE_S
from gateway.server import KEEP_ALIVE_S
from pkg.registry import RETRY_DELAY_S
from pkg.rpc.server import DISCOVERY_DELAY_S
from pkg.settings import DEFAULT_CONFIG_DIR, read_section
from pkg.uploads import transfer_time_s
from scripts.stack.servers.nginx import find_upload_timeout_s
from scripts.stack.services import Gateway, Service
from services.message.chat import LOOK_TIMEOUT_S
from services.video.leases import RENEWALS_PER_LEASE
from services.video.worker import GIVE_BACK_ON_STOP_S

APP_GIVES_UP_S = 5
# The contract: an upload is answered within this after its last byte, where storage hangs.
UPLOAD_ANSWERED_S = 4.5


class Values:
    """Settings as the files have them: `section.key`."""

    def __getattr__(self, section: str) -> Any:
        return type("Section", (), read_section(DEFAULT_CONFIG_DIR, section))


S = Values()
SERVICES = ("comment", "favorite", "message", "relation", "user", "video")
LARGEST_S = transfer_time_s(S.upload.max_upload_mb * 1024 * 1024)
SITE = (DEFAULT_CONFIG_DIR / "nginx" / "site.conf.template").read_text()


def nginx_s(directive: str) -> float:
    """Return what the server's own block says; locations may say otherwise."""
    found = re.search(rf"^    {directive} (\d+)s;", SITE, re.MULTILINE)
    assert found
    return float(found[1])


# What is waited for, how long that takes at most, and how long is waited.
NESTED = [
    ("mysql: connecting in a statement", S.mysql.connect_timeout_s, S.mysql.statement_timeout_s),
    ("mysql: a statement in an RPC", S.mysql.statement_timeout_s, S.gateway.rpc_timeout_s),
    ("redis: a command in an RPC", S.redis_actions.timeout_s, S.gateway.rpc_timeout_s),
    ("redis: the overlay's look in a read", OVERLAY_TIMEOUT_S, S.redis_actions.timeout_s),
    ("redis: the chat's look in a read", LOOK_TIMEOUT_S, S.redis_actions.timeout_s),
    ("redis: a failed look, then mysql", OVERLAY_TIMEOUT_S, S.mysql.statement_timeout_s),
    ("redis cache: a command in an RPC", S.redis_cache.timeout_s, S.gateway.rpc_timeout_s),
    ("rabbitmq: a confirm in an RPC", S.rabbitmq.confirm_timeout_s, S.gateway.rpc_timeout_s),
    ("gateway: an RPC in a request", S.gateway.rpc_timeout_s, APP_GIVES_UP_S),
    ("gateway: two RPCs shared by those who wait", 2 * S.gateway.rpc_timeout_s, APP_GIVES_UP_S),
    ("gateway: an RPC on instances that were replaced", S.gateway.rpc_timeout_s, LONGEST_CALL_S),
    ("gateway: a request behind nginx", DEADLINE_S, nginx_s("proxy_read_timeout")),
    ("gateway: health checks behind /readyz", S.gateway.ready_timeout_s, S.gateway.rpc_timeout_s),
    (
        "gateway: a pause in an upload",
        S.gateway.upload_idle_timeout_s,
        nginx_s("client_body_timeout"),
    ),
    ("nginx: an idle connection to the gateway", 4, KEEP_ALIVE_S),
    ("upload: a frozen storage", S.storage.timeout_s, S.gateway.upload_timeout_s),
    ("upload: the hand-over", S.gateway.upload_timeout_s, UPLOAD_ANSWERED_S),
    ("upload: the answer", UPLOAD_ANSWERED_S, APP_GIVES_UP_S),
    (
        "upload: the largest into storage",
        S.storage.timeout_s + LARGEST_S,
        S.gateway.upload_timeout_s + LARGEST_S,
    ),
    (
        "upload: the largest behind nginx",
        S.gateway.upload_timeout_s + LARGEST_S,
        find_upload_timeout_s(DEFAULT_CONFIG_DIR),
    ),
    (
        "video: a renewal in its lease, and one that failed",
        2 * S.video.lease_s / RENEWALS_PER_LEASE + S.mysql.statement_timeout_s,
        S.video.lease_s,
    ),
    ("flush: a transaction under its lock", FLUSH_TIMEOUT_S, FLUSH_LOCK_TTL_S),
    (
        "etcd: a lost lease is taken again before it ends",
        S.etcd.lease_ttl_s / 3 + 3 * S.etcd.timeout_s + RETRY_DELAY_S,
        S.etcd.lease_ttl_s,
    ),
    ("stop: the gateway", S.gateway.stop_grace_s, Gateway.stop_within_s),
    *(
        (
            f"stop: the {name} service with a flush or a job in hand",
            2 * getattr(S, name).stop_grace_s
            + DISCOVERY_DELAY_S
            + max(FLUSH_TIMEOUT_S, GIVE_BACK_ON_STOP_S)
            + S.redis_actions.timeout_s,
            Service.stop_within_s,
        )
        for name in SERVICES
    ),
]


@pytest.mark.parametrize(("what", "inner_s", "outer_s"), NESTED, ids=[row[0] for row in NESTED])
def test_an_inner_deadline_is_shorter_than_the_one_around_it(what, inner_s, outer_s):
    assert inner_s < outer_s, what


def test_a_larger_limit_of_uploads_makes_every_deadline_on_the_way_longer(tmp_path):
    for section in ("gateway", "upload"):
        (tmp_path / f"{section}.yml").write_text(
            (DEFAULT_CONFIG_DIR / f"{section}.yml").read_text()
        )
    largest_mb = 2 * S.upload.max_upload_mb
    (tmp_path / "upload.yml").write_text(f"max_upload_mb: {largest_mb}\n")

    handed_over_s = S.gateway.upload_timeout_s + transfer_time_s(largest_mb * 1024 * 1024)

    assert handed_over_s < find_upload_timeout_s(tmp_path)
