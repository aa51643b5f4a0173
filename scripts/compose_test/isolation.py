"""A machine inside the machine: network, mounts and processes of its own, which end with what runs in them.

Docker's engine changes the packet filter, adds bridges and mounts, and leaves most of that behind. In namespaces of its own it
changes nothing of the machine, whatever becomes of it. slirp4netns is the way out to the network, without any rule outside.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from scripts.stack.files import get_command
from scripts.stack.processes import wait_until
from scripts.stack.report import StackError

# What slirp4netns gives: the name server of the inner network passes questions on to that of the machine.
NAME_SERVER = "10.0.2.3"
_LINK = "tap0"
_LARGEST_PACKET = "1400"
_START_S = 15
_END_S = 120
_RESOLV_CONF = Path("/etc/resolv.conf")


def run_isolated(command: Sequence[str | Path]) -> int:
    """Run a command as root of the inner machine and return its exit status.

    SIGINT and SIGTERM reach it once, as SIGTERM, and it gets two minutes to put everything away.
    """
    ready_read, ready_write = os.pipe()
    os.set_inheritable(ready_read, True)
    with ExitStack() as ending:
        ending.callback(os.close, ready_write)
        inner = subprocess.Popen(
            [*_unshare(), *command, f"--ready={ready_read}"],
            pass_fds=[ready_read],
            start_new_session=True,
        )
        os.close(ready_read)
        ending.callback(_end, inner)
        ending.enter_context(_uplink(inner))
        os.write(ready_write, b"+")
        return _wait(inner)


def _unshare() -> list[str]:
    """Return the command in front: whatever becomes of this process, nothing inside outlives it."""
    kill_with_parent = [get_command("setpriv"), "--pdeathsig", "KILL", "--"]
    apart = ["--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    # The first process of a PID namespace has to collect every orphan.
    return [*kill_with_parent, get_command("unshare"), *apart, get_command("tini"), "--"]


@contextmanager
def _uplink(inner: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Give the inner machine a network card while the block runs."""
    namespace = Path(f"/proc/{inner.pid}/ns/net")
    outside = Path("/proc/self/ns/net").readlink()
    apart = wait_until(
        lambda: inner.poll() is not None or namespace.readlink() != outside, timeout_s=_START_S
    )
    if not apart or inner.poll() is not None:
        raise StackError(
            "this machine gives no namespaces", fix="run it as root, outside of a container"
        )
    read, write = os.pipe()
    options = ["--configure", f"--mtu={_LARGEST_PACKET}", "--disable-host-loopback"]
    command = [get_command("slirp4netns"), *options, f"--ready-fd={write}", str(inner.pid), _LINK]
    slirp = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command],
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    try:
        if os.read(read, 1) == b"":
            told = slirp.communicate(timeout=_START_S)[1]
            raise StackError("slirp4netns does not start", log_tail=told.splitlines()[-5:])
        yield
    finally:
        os.close(read)
        slirp.kill()
        slirp.communicate()


def _wait(inner: "subprocess.Popen[bytes]") -> int:
    """Wait for the command; the first signal asks it to end, which the block around sees to."""

    def stop(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        return inner.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(inner: "subprocess.Popen[bytes]") -> None:
    """Ask what runs inside to end, and end it."""
    if inner.poll() is not None:
        return
    print("\nputting everything away …", file=sys.stderr)
    for first in psutil.Process(inner.pid).children():
        first.terminate()
    try:
        inner.wait(_END_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        inner.kill()
        inner.wait()


def settle_inside(ready: int) -> None:
    """Wait for the network card, and make private what the engine writes to; called once, by the command inside."""
    if os.read(ready, 1) == b"":
        raise StackError("the inner machine got no network")
    os.close(ready)
    names = _RESOLV_CONF.resolve()
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "run", "/run")
    # It may be a link into /run, which is empty now.
    if not names.exists():
        names.parent.mkdir(parents=True, exist_ok=True)
        names.touch()
    own = Path("/run/dousheng-resolv.conf")
    own.write_text(f"nameserver {NAME_SERVER}\n")
    _run("mount", "--bind", str(own), str(names))
    _run("ip", "link", "set", "lo", "up")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=_START_S)
