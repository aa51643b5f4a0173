"""Temporary files that leave nothing behind, also when the process is killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    """Remove the folders of processes that died: those that nobody has locked."""
    for folder in root.iterdir() if root.is_dir() else ():
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder)
        finally:
            os.close(handle)
