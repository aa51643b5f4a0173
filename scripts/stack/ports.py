"""Which port belongs to whom: every port is one base plus a fixed offset."""

import errno
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from scripts.stack.errors import StackError
from scripts.stack.processes import describe_process, find_listener, wait_until

DEFAULT_BASE = 8080
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - nginx serves phones in the LAN
# Linux hands out ephemeral ports from 32768 on; a server there could find its port taken by a
# client connection.
FIRST_EPHEMERAL_PORT = 32768
LOWEST_BASE = 1024
SPAN = 40

OFFSETS = {
    "nginx": 0,
    "comment": 1,
    "favorite": 2,
    "message": 3,
    "relation": 4,
    "user": 5,
    "video": 6,
    "gateway": 9,
    "comment-metrics": 11,
    "favorite-metrics": 12,
    "message-metrics": 13,
    "relation-metrics": 14,
    "user-metrics": 15,
    "video-metrics": 16,
    "mysql": 20,
    "redis-actions": 21,
    "redis-cache": 22,
    "rabbitmq": 23,
    "rabbitmq-distribution": 24,
    "epmd": 25,
    "etcd": 26,
    "etcd-peer": 27,
    "mysql-replica-1": 28,
    "mysql-replica-2": 29,
    "s3": 30,
    "s3-master": 31,
    "s3-master-grpc": 32,
    "s3-volume": 33,
    "s3-volume-grpc": 34,
    "s3-filer": 35,
    "s3-filer-grpc": 36,
    "s3-admin": 37,
    "s3-admin-grpc": 38,
    "s3-grpc": 39,
}


@dataclass(frozen=True)
class Ports:
    """All ports of one stack."""

    base: int

    def __post_init__(self) -> None:
        last = FIRST_EPHEMERAL_PORT - SPAN
        if not LOWEST_BASE <= self.base <= last:
            raise StackError(
                f"port base {self.base} is out of range: ports {self.base} to"
                f" {self.base + SPAN - 1} must lie between {LOWEST_BASE} and"
                f" {FIRST_EPHEMERAL_PORT - 1}",
                mend=f"set DOUSHENG_PORT_BASE to a number from {LOWEST_BASE} to {last}",
            )

    def of(self, name: str) -> int:
        """Return the port of a process or of one of its extra listeners."""
        return self.base + OFFSETS[name]


def parse_base(text: str) -> int:
    """Return the number in DOUSHENG_PORT_BASE."""
    if not text.isascii() or not text.isdigit():
        raise StackError(
            f"DOUSHENG_PORT_BASE is {text!r}, which is not a number",
            mend="unset it, or set it to a number such as 9080",
        )
    return int(text)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return False
            raise StackError(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
    return True


def check_free(name: str, *, host: str, port: int, run_dir: Path) -> None:
    """Refuse a port that somebody else listens on, and say who.

    Raises:
        StackError: the port is taken.
    """
    # A server that was just killed keeps its port until its last thread is gone.
    wait_until(lambda: is_free(port, host) or find_listener(port) is not None, timeout_s=5)
    if is_free(port, host):
        return
    holder = find_listener(port)
    who = describe_process(holder) if holder else "a process that this user may not look at"
    raise StackError(
        f"port {port}, which {name} needs, is taken by {who}",
        mend="stop that process, or move this stack with DOUSHENG_PORT_BASE"
        f" (for example DOUSHENG_PORT_BASE={find_free_port_base()} scripts/up);"
        f" this stack's folder is {run_dir}",
    )


def find_free_port_base() -> int:
    """Return a base whose ports are all free at this moment, chosen at random.

    Two callers at once are unlikely, not unable, to get the same base.
    """
    candidates = list(range(10000, FIRST_EPHEMERAL_PORT - SPAN, SPAN))
    random.shuffle(candidates)
    for base in candidates:
        if all(is_free(base + offset, ALL_ADDRESSES) for offset in OFFSETS.values()):
            return base
    raise StackError("no free range of ports was found between 10000 and 32767")
