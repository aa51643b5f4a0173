"""Which port belongs to whom: every port is one base plus a fixed offset."""

import errno
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from scripts.stack.processes import describe_listener, wait_until
from scripts.stack.report import StackError

DEFAULT_BASE = 8080
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - nginx serves phones in the LAN
# Linux hands out ephemeral ports from 32768 on; a server there could find its port taken by a
# client connection.
FIRST_EPHEMERAL_PORT = 32768
LOWEST_BASE = 1024
# The ports of one instance of everything; a second instance has the next ones, in the same order.
SPAN = 40
MOST_WORKERS = 8

SERVICES = ("comment", "favorite", "message", "relation", "user", "video")
_SERVERS = (
    *("mysql", "redis-actions", "redis-cache", "rabbitmq", "rabbitmq-distribution", "epmd"),
    *("etcd", "etcd-peer", "mysql-replica-1", "mysql-replica-2"),
)
_STORAGE = (
    *("s3", "s3-master", "s3-master-grpc", "s3-volume", "s3-volume-grpc"),
    *("s3-filer", "s3-filer-grpc", "s3-admin", "s3-admin-grpc", "s3-grpc"),
)
OFFSETS = {
    "nginx": 0,
    **{name: offset for offset, name in enumerate(SERVICES, start=1)},
    "nginx-https": 7,
    "gateway": 9,
    "prometheus": 17,
    "zipkin": 18,
    "otlp": 19,
    **{f"{name}-metrics": offset for offset, name in enumerate(SERVICES, start=11)},
    **{name: offset for offset, name in enumerate(_SERVERS, start=20)},
    **{name: offset for offset, name in enumerate(_STORAGE, start=30)},
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
                fix=f"set DOUSHENG_PORT_BASE to a number from {LOWEST_BASE} to {last}",
            )

    def of(self, name: str, instance: int = 1) -> int:
        """Return the port of a process or of one of its extra listeners.

        Raises:
            StackError: the port base leaves no room for so many instances.
        """
        port = self.base + SPAN * (instance - 1) + OFFSETS[name]
        if port >= FIRST_EPHEMERAL_PORT:
            last = FIRST_EPHEMERAL_PORT - SPAN * instance
            raise StackError(
                f"{instance} instances on port base {self.base} would need port {port}",
                fix=f"set DOUSHENG_PORT_BASE to at most {last}, or ask for fewer workers",
            )
        return port


def parse_base(text: str) -> int:
    """Return the number in DOUSHENG_PORT_BASE."""
    if not text.isascii() or not text.isdigit():
        raise StackError(
            f"DOUSHENG_PORT_BASE is {text!r}, which is not a number",
            fix="unset it, or set it to a number such as 9080",
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
    wait_until(lambda: is_free(port, host) or describe_listener(port) is not None, timeout_s=5)
    if is_free(port, host):
        return
    raise StackError(
        f"port {port}, which {name} needs, is taken by {describe_listener(port) or 'a process that this user may not look at'}",
        fix="stop that process, or move this stack with DOUSHENG_PORT_BASE"
        f" (for example DOUSHENG_PORT_BASE={find_free_port_base()} scripts/up);"
        f" this stack's folder is {run_dir}",
    )


def find_free_port_base(workers: int = 1) -> int:
    """Return a base whose ports, those of `workers` instances, are all free, chosen at random.

    Nobody else who asks is given any of them as long as this process lives.
    """
    candidates = list(range(10000, FIRST_EPHEMERAL_PORT - SPAN * workers, SPAN))
    random.shuffle(candidates)
    for base in candidates:
        spans = range(base, base + SPAN * workers, SPAN)
        ports = (span + offset for span in spans for offset in OFFSETS.values())
        if all(is_free(port, ALL_ADDRESSES) for port in ports) and all(map(_reserve, spans)):
            return base
    raise StackError("no free range of ports was found between 10000 and 32767")


def _reserve(base: int) -> bool:
    """Take a range of ports for this process until it ends; say whether nobody had it.

    Whoever holds the UDP port of the base's number has the range: the servers, which all speak TCP, can listen, and the kernel
    gives it back however the process ends.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        holder.bind(("127.0.0.1", base))
    except OSError:
        holder.close()
        return False
    holder.detach()  # Never closed: an inheritable copy does not exist, so that no child keeps it.
    return True
