"""The project of docker-compose.yml as scripts/test-compose has brought it up; nothing is collected without that."""

import os
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from scripts.compose_test.engine import Engine
from scripts.compose_test.place import TESTED_PROJECT, Place
from scripts.compose_test.project import Project
from tests.media_samples import make_video
from tests.system.app import App, Spoken

collect_ignore_glob = [] if TESTED_PROJECT in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def project() -> Project:
    """The project, up."""
    return Project(Engine(Place()), Path(os.environ[TESTED_PROJECT]))


@pytest.fixture(scope="session")
def certificate(project: Project) -> ssl.SSLContext:
    """Trusts the pair that the project's set-up has made, and nothing else."""
    return ssl.create_default_context(
        cafile=project.folder / ".secrets" / "tls" / "certificate.pem"
    )


@pytest.fixture
async def http(certificate: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    """Connections that end with the test, each call answered within the contract's 10 s, an upload within a minute."""
    timeout = httpx.Timeout(12, write=60, read=60)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False, verify=certificate) as client:
        yield client


@pytest.fixture
def phone(project: Project, http: httpx.AsyncClient) -> Callable[..., App]:
    """Makes apps that talk to nginx, over HTTP unless they ask for HTTPS."""

    def make(scheme: str = "http") -> App:
        return App(http, f"{scheme}://localhost:{project.published_port(scheme)}/", Spoken())

    return make


@pytest.fixture(scope="session")
def small_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video that the app can play as it is."""
    return make_video(tmp_path_factory.mktemp("samples") / "small.mp4", options="")
