"""A backup of the running project, made by the container for operators, is whole."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from scripts.compose_test.project import Project
from tests.system.app import App
from tests.system.publishing import wait_published


async def test_a_backup_holds_a_published_video_and_every_key(
    project: Project, phone: Callable[..., App], small_video: Path, tmp_path: Path
) -> None:
    author = await phone().register()
    card = await wait_published(author, await author.publish(small_video))
    media = (await author.load(card["play_url"])).content
    owner = (project.folder / ".secrets" / "token_private").stat()
    os.chown(tmp_path, owner.st_uid, owner.st_gid)

    def run(module: str, *arguments: str) -> str:
        mount = f"{tmp_path}:/copies"
        return project.ask("run", "--rm", "--volume", mount, "tools", module, *arguments)

    await asyncio.to_thread(run, "scripts.operator.backup.save", "/copies/today")
    await asyncio.to_thread(run, "scripts.operator.backup.restore", "/copies/today", "--check")

    copied = read_files(tmp_path)
    assert media in copied
    for key in read_files(project.folder / ".secrets" / "token_private", "*.pem"):
        assert key in copied
    for key in read_files(project.folder / ".secrets" / "message_private", "*.pem"):
        assert key in copied


def read_files(folder: Path, pattern: str = "*") -> list[bytes]:
    found = [path.read_bytes() for path in folder.rglob(pattern) if path.is_file()]
    assert found
    return found
