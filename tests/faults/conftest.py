"""A whole system of its own for each file, and what it says while faults are played."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack import Stack, find_free_port_base
from tests.conftest import AllSettings, load_settings
from tests.media_samples import make_video
from tests.system.system import System

# Everything comes from one address here.
OVERRIDES = {"DOUSHENG_GATEWAY__RATE_LIMIT__ENABLED": "false"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Every server and every process of the product, with the product's own deadlines."""
    stack = Stack(
        tmp_path_factory.mktemp("system"),
        find_free_port_base(),
        die_with_parent=True,
        overrides=OVERRIDES,
        report=print,
    )
    try:
        stack.up()
        yield System(stack)
    finally:
        stack.down()


@pytest.fixture(scope="module")
def settings(system: System) -> AllSettings:
    """The settings of a process that runs beside those of `system`."""
    return load_settings(system.stack)


@pytest.fixture(scope="session")
def small_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video that the app can play as it is."""
    return make_video(tmp_path_factory.mktemp("samples") / "small.mp4", options="")
