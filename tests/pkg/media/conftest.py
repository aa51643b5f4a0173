"""Sample videos, made once a run, and the tool under test with the product's own limits."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pkg.media import MediaSettings, MediaTool
from pkg.settings import DEFAULT_CONFIG_DIR, read_section
from tests import media_samples
from tests.pkg.media.samples import KINDS


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file of every kind."""
    folder = tmp_path_factory.mktemp("videos")
    for name, (video, audio, options) in KINDS.items():
        media_samples.make_video(folder / name, video=video, audio=audio, options=options)
    return folder


@pytest.fixture(scope="session")
def media_settings() -> MediaSettings:
    return MediaSettings(**read_section(DEFAULT_CONFIG_DIR, "media"))


@pytest.fixture
def make_media(media_settings: MediaSettings) -> Callable[..., MediaTool]:
    """Makes a tool of which some limits differ."""
    return lambda **changes: MediaTool(media_settings.model_copy(update=changes))


@pytest.fixture
def media(media_settings: MediaSettings) -> MediaTool:
    return MediaTool(media_settings)
