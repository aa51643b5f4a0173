"""Temporary files that leave nothing behind, also when the process is killed."""

import contextlib
import fcntl
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pkg.errors import DependencyUnavailable
from pkg.metrics import SPOOL_FREE
from pkg.settings import Count, Section

MB = 1024 * 1024


class SpoolLimits(Section):
    """How much one process may have in its spool."""

    max_mb: Count
    """MiB that the files of all uploads may take together; whoever would pass it is told to come back."""
    min_free_mb: Count
    """MiB of the disk that stay free: before that an upload is refused, not when a write fails."""


class Spool:
    """A folder for files without a name, bounded in bytes: room is reserved before the first one is written."""

    def __init__(self, root: Path, limits: SpoolLimits) -> None:
        self._root = root
        self._max_bytes = limits.max_mb * MB
        self._min_free_bytes = limits.min_free_mb * MB
        self._reserved_bytes = 0
        SPOOL_FREE.set_function(self._measure_free)

    def _measure_free(self) -> float:
        try:
            return shutil.disk_usage(self._root).free
        except OSError:
            return math.nan  # The folder is made with the first upload.

    @contextmanager
    def open(self, *, max_bytes: int) -> Iterator[IO[bytes]]:
        """Give a file that will hold at most `max_bytes`; see `open_spool`.

        Raises:
            DependencyUnavailable: the spool or the disk has no room for it.
        """
        if self._reserved_bytes + max_bytes > self._max_bytes:
            raise DependencyUnavailable(detail="spool: full")
        self._reserved_bytes += max_bytes
        try:
            with open_spool(self._root) as file:
                # What others have written already counts twice: too careful is better than a full disk.
                if shutil.disk_usage(self._root).free < self._min_free_bytes + self._reserved_bytes:
                    raise DependencyUnavailable(detail="spool: the disk is nearly full")
                yield file
        finally:
            self._reserved_bytes -= max_bytes


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
