"""Temporary files that leave nothing behind, also when the process is killed."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pkg.errors import DependencyUnavailable


@contextmanager
def open_spool(root: Path) -> Iterator[IO[bytes]]:
    """Give a file in `root` that has no name: it is gone when it is closed, and with the process, however that ends.

    Raises:
        DependencyUnavailable: the disk is full or fails; also where the block that uses the file says so.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            yield file
    except OSError as exc:
        raise DependencyUnavailable(detail=f"spool: {exc.strerror}") from exc


@contextmanager
def work_folder(root: Path) -> Iterator[Path]:
    """Give an empty folder of one's own under `root` and remove it at the end.

    The folder is locked for as long as this process lives; see `remove_abandoned`.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as name:
        handle = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(handle)


def remove_abandoned(root: Path) -> None:
    """Remove what processes left that died: the folders that nobody has locked, and single files."""
    for item in root.iterdir() if root.is_dir() else ():
        # Another process that is starting may be quicker.
        with contextlib.suppress(FileNotFoundError):
            if item.is_dir():
                _remove_unlocked(item)
            else:
                item.unlink()


def _remove_unlocked(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder)
    finally:
        os.close(handle)
