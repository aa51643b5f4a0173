"""A wire between two network namespaces that delays, loses and holds back packets: one process, two TUN interfaces.

    python -m tests.faults.wire

reads a line of JSON with the ids of two processes, makes an interface called "wire" in the namespace of each, says "ready", and
then obeys further lines, each a `Quality`. It ends with its input, and its interfaces with it. The kernel's netem does the same where it is built in.
"""

import ctypes
import errno
import fcntl
import json
import os
import random
import selectors
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

INTERFACE = "wire"
READY = "ready"
LONGEST_PACKET = 65536
# <linux/if_tun.h>, <linux/sched.h>
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Quality:
    """What the wire does to each packet, in each direction."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    # The share of packets that are lost; 1 parts the machines without telling them.
    loss: float = 0.0


@dataclass
class Direction:
    """Packets on their way from one end to the other; they do not overtake each other."""

    source: int
    target: int
    chance: random.Random
    on_the_way: deque[tuple[float, bytes]] = field(default_factory=deque)

    def take(self, quality: Quality) -> None:
        """Read one packet, and lose it or decide when it arrives."""
        packet = os.read(self.source, LONGEST_PACKET)
        if self.chance.random() < quality.loss:
            return
        delay_ms = quality.delay_ms + self.chance.uniform(-1, 1) * quality.jitter_ms
        last_s = self.on_the_way[-1][0] if self.on_the_way else 0.0
        self.on_the_way.append((max(last_s, time.monotonic() + delay_ms / 1000), packet))

    def deliver(self) -> float | None:
        """Hand over what has arrived; return when the next packet does, if there is one."""
        while self.on_the_way:
            due_s, packet = self.on_the_way[0]
            if due_s > time.monotonic():
                return due_s
            self.on_the_way.popleft()
            try:
                os.write(self.target, packet)
            except OSError as exc:
                # The interface there is down; nobody receives anything.
                if exc.errno != errno.EIO:
                    raise
        return None


def open_end(pid: int) -> int:
    """Make the interface in the namespace of a process; return what its packets are read from and written to.

    This process is in that namespace afterwards; what it opened before stays where it is.
    """
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"the namespace of process {pid} cannot be entered")
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = INTERFACE.encode()
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name, IFF_TUN | IFF_NO_PI))
    return end


def carry(ends: tuple[int, int]) -> None:
    """Carry packets and obey orders until the input ends."""
    quality = Quality()
    there, back = (Direction(*pair, random.Random(pair[0])) for pair in (ends, ends[::-1]))
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(there.source, selectors.EVENT_READ, there)
        selector.register(back.source, selectors.EVENT_READ, back)
        while True:
            dues = [due_s for due_s in (there.deliver(), back.deliver()) if due_s is not None]
            timeout_s = max(0.0, min(dues) - time.monotonic()) if dues else None
            for key, _ in selector.select(timeout_s):
                if key.data is not None:
                    key.data.take(quality)
                    continue
                order = sys.stdin.readline()
                if not order:
                    return
                quality = Quality(**json.loads(order))


def main() -> None:
    """Entry of the process."""
    one, other = (open_end(pid) for pid in json.loads(sys.stdin.readline()))
    print(READY, flush=True)
    carry((one, other))


if __name__ == "__main__":
    main()
