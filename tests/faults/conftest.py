"""A whole system of its own for each file, and what it says while faults are played."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import AllSettings, load_settings
from tests.media_samples import make_video
from tests.system.system import System, running_system

# Everything comes from one address here.
OVERRIDES = {"DOUSHENG_GATEWAY__RATE_LIMIT__ENABLED": "false"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Every server, two replicas of MySQL, and every process of the product, with the product's own deadlines."""
    folder = tmp_path_factory.mktemp("system")
    with running_system(folder, mysql_replicas=2, overrides=OVERRIDES, report=print) as running:
        yield running


@pytest.fixture(scope="module")
def settings(system: System) -> AllSettings:
    """The settings of a process that runs beside those of `system`."""
    return load_settings(system.stack)


@pytest.fixture(scope="session")
def small_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video that the app can play as it is."""
    return make_video(tmp_path_factory.mktemp("samples") / "small.mp4", options="")
