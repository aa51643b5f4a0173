"""Ports for stacks that start at the same time."""

import random
import subprocess
import sys

from scripts.stack import find_free_port_base
from scripts.stack.ports import SPAN
from scripts.stack.site import REPOSITORY

CHOOSE = """
import random, sys
from scripts.stack import find_free_port_base
random.seed(int(sys.argv[1]))
print(find_free_port_base(workers=int(sys.argv[2])))
"""


def choose_in_another_process(seed: int, workers: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CHOOSE, str(seed), str(workers)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(done.stdout)


def test_two_who_ask_before_either_listens_get_different_ports() -> None:
    seed = random.randrange(2**32)
    random.seed(seed)

    mine = find_free_port_base(workers=2)
    others = choose_in_another_process(seed, workers=2)

    assert abs(others - mine) >= 2 * SPAN
