"""Debian's browser without windows, as scripts/setup --with-browser installs it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

PROGRAMS = ("chromium-headless-shell", "chromium")


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Run the browser until the block ends.

    Raises:
        RuntimeError: there is none on this machine.
    """
    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        raise RuntimeError("there is no browser; to fix it: scripts/setup --with-browser")
    # Its sandbox refuses to work for root; whatever it opens here is ours.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        await browser.close()
