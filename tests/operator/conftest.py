"""An operator who types commands, on the servers of the tests."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable

import pytest

from scripts.stack import Stack
from scripts.stack.environment import without_settings
from scripts.stack.site import REPOSITORY

Run = Callable[..., Awaitable["subprocess.CompletedProcess[str]"]]


@pytest.fixture
def run(servers: Stack) -> Run:
    """Run `scripts/NAME` as a person does; keyword arguments are settings that differ."""

    async def run(
        name: str, *arguments: str, **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        def wait() -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [REPOSITORY / "scripts" / name, *arguments],
                env=without_settings(os.environ) | servers.environment() | settings,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )

        return await asyncio.to_thread(wait)

    return run
