"""A private stack of servers for the tests of the scripts themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack import Stack, find_free_port_base


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers on ports of their own; they end with the tests, however those end."""
    folder: Path = tmp_path_factory.mktemp("stack")
    stack = Stack(folder / "run", find_free_port_base(), die_with_parent=True)
    try:
        stack.up("servers")
        yield stack
    finally:
        stack.down()
