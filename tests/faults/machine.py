"""A machine of a test: a process in a network namespace of its own, in which a part of the stack runs.

    unshare --net -- python -m tests.faults.machine RUN_DIR PORT_BASE ADDRESS

says "ready", waits for one line of JSON, an `Order`, brings that part up, says "up", and takes it down when its input ends. Namespace and
processes end with it, however it ends.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.stack import Stack
from tests.faults.wire import READY

UP = "up"


@dataclass(frozen=True)
class Order:
    """Which processes run on a machine, and what their settings are told beside what they would be."""

    processes: Sequence[str]
    overrides: Mapping[str, str]
    migrate: bool = False


def tell(line: str) -> None:
    """Say what happens, without getting into the way of the protocol."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Entry of the process."""
    run_dir, port_base, address = sys.argv[1:]
    print(READY, flush=True)
    line = sys.stdin.readline()
    if not line:
        return
    order = Order(**json.loads(line))
    stack = Stack(
        Path(run_dir),
        int(port_base),
        address=address,
        die_with_parent=True,
        overrides=order.overrides,
        report=tell,
    )
    try:
        stack.up(order.processes)
        if order.migrate:
            stack.migrate()
        print(UP, flush=True)
        sys.stdin.read()
    finally:
        stack.down()


if __name__ == "__main__":
    main()
