"""The whole system on ports of its own, and an app to play with it."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from dal.db.engine import Database
from scripts.stack.plain_http import NO_CERTIFICATES
from scripts.stack.ports import SERVICES
from tests.conftest import AllSettings, load_settings
from tests.eventually import eventually
from tests.media_samples import append_free_box, make_video, make_video_of_size
from tests.otlp_receiver import OtlpReceiver, receiving
from tests.stored_objects import StoredObjects
from tests.system.app import App
from tests.system.logs import find_bugs, find_secrets
from tests.system.publishing import Remains
from tests.system.system import System, running_system

MOST_LINES = 60
# Faults are noticed and repaired soon, and nobody is slowed down.
OVERRIDES = {
    "DOUSHENG_VIDEO__LEASE_S": "3",
    "DOUSHENG_ETCD__LEASE_TTL_S": "4",
    "DOUSHENG_STORAGE__TIMEOUT_S": "4",
    "DOUSHENG_GATEWAY__RATE_LIMIT__ENABLED": "false",
    # A busy machine gets more than the product's own limit.
    "DOUSHENG_FAVORITE__EFFECT_WAIT_S": "1",
    "DOUSHENG_RELATION__EFFECT_WAIT_S": "1",
    "DOUSHENG_VIDEO__PUBLISH_WAIT_S": "8",
}


@pytest.fixture(scope="session")
def traces() -> Iterator[OtlpReceiver]:
    """Where every process of the product sends its spans."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="package")
def system(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, traces: OtlpReceiver
) -> Iterator[System]:
    """Every server and every process of the product; every request is traced, and in the end every log is looked at."""
    overrides = OVERRIDES | {
        "DOUSHENG_TRACING__ENDPOINT": traces.endpoint,
        "DOUSHENG_TRACING__SAMPLE_RATIO": "1",
    }
    folder = tmp_path_factory.mktemp("system")
    with running_system(folder, tls=pytestconfig.getoption("tls"), overrides=overrides) as running:
        yield running
        assert find_secrets(running) == []
        assert find_bugs(running) == []


@pytest.fixture(autouse=True)
def troubles(system: System, request: pytest.FixtureRequest) -> Iterator[None]:
    """Show with a failed test what the product's processes complained of meanwhile."""
    names = (*SERVICES, "gateway")
    before = {name: len(system.read_log(name)) for name in names}
    yield
    lines = [
        line
        for name in names
        for line in system.read_log(name)[before[name] :].splitlines()
        if any(level in line for level in (" WARNING ", " ERROR ", "status=50"))
    ]
    request.node.add_report_section("teardown", "troubles", "\n".join(lines[-MOST_LINES:]))


@pytest.fixture(scope="package")
def settings(system: System) -> AllSettings:
    """The settings of a process that runs beside those of `system`."""
    return load_settings(system.stack)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Connections that end with the test; every call must be answered within the contract's 10 s, an upload within a minute."""
    timeout = httpx.Timeout(12, write=60, read=60)
    async with httpx.AsyncClient(
        timeout=timeout, trust_env=False, verify=NO_CERTIFICATES
    ) as client:
        yield client


@pytest.fixture
def phone(system: System, http: httpx.AsyncClient) -> Callable[[], App]:
    """Makes apps that talk to nginx."""
    return lambda: App(http, system.base_url, system.spoken)


@pytest.fixture
async def author(phone: Callable[[], App]) -> App:
    """Somebody who has just registered."""
    return await phone().register()


@pytest.fixture
def viewer(phone: Callable[[], App]) -> App:
    """Somebody who has no account."""
    return phone()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files to publish."""
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="session")
def small_video(samples: Path) -> Path:
    """A second of video that the app can play as it is, its index at the end as phones write it."""
    return make_video(samples / "small.mp4", options="")


@pytest.fixture(scope="session")
def slow_video(samples: Path) -> Path:
    """A video that must be encoded again, which takes seconds."""
    return make_video(
        samples / "slow.avi", seconds=8, size="640x480", video="mpeg4 -b:v 2M", audio="mp3"
    )


@pytest.fixture(scope="session")
def video_1mb(samples: Path) -> Path:
    """A million bytes: what a phone records in a moment."""
    video = make_video(
        samples / "1mb.mp4",
        seconds=2,
        size="720x1280",
        video="libx264 -preset ultrafast -pix_fmt yuv420p -b:v 2M -maxrate 2M -bufsize 1M",
        options="",
    )
    append_free_box(video, total_bytes=1_000_000)
    return video


@pytest.fixture(scope="session")
def video_45mb(samples: Path) -> Path:
    """Nearly as much as may be uploaded."""
    return make_video_of_size(samples / "45mb.mp4", size_mb=45)


@pytest.fixture
async def remains(system: System, database: Database, stored_objects: StoredObjects) -> Remains:
    """What there was before the test."""

    async def at_rest() -> bool:
        return not system.list_spooled()

    await eventually(at_rest, within_s=30)
    found = Remains(system, database, stored_objects)
    await found.remember()
    return found
