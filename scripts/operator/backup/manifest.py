"""What a backup consists of: every file with its size and digest, written last, so that a backup without it is none."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.operator.private_files import make_private_dir, write_private

FORMAT = 1
NAME = "manifest.json"
BLOCK_BYTES = 1024 * 1024


class BackupError(Exception):
    """A backup that cannot be made or used; the text tells a person why, and what to do."""


@dataclass(frozen=True)
class FileFacts:
    """How a file must be found again."""

    size_bytes: int
    sha256: str


@dataclass
class Manifest:
    """The head of a backup."""

    made_at: str
    schema_version: str
    token_key_id: str
    crypt_key_id: str
    newest_action: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, FileFacts] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    format: int = FORMAT

    def add(self, folder: Path, path: Path) -> None:
        """Note a file that is complete, and make it readable by its owner alone."""
        path.chmod(0o600)
        self.files[str(path.relative_to(folder))] = measure(path)

    def write(self, folder: Path) -> None:
        """Make the folder a backup."""
        write_private(folder / NAME, json.dumps(asdict(self), indent=1).encode())


def measure(path: Path) -> FileFacts:
    """Return a file's size and digest."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return FileFacts(path.stat().st_size, digest.hexdigest())


def open_new(folder: Path) -> None:
    """Make the folder of a new backup, or take up one that broke off.

    Raises:
        BackupError: it holds a whole backup, or something else.
    """
    if (folder / NAME).exists():
        raise BackupError(f"{folder} holds a backup already; name another folder")
    if folder.exists() and not {path.name for path in folder.iterdir()} <= set(PARTS):
        raise BackupError(f"{folder} holds something else than a backup; name a new folder")
    make_private_dir(folder)
    os.chmod(folder, 0o700)  # noqa: PTH101 - a folder that was there may be open to others


PARTS = ("rows", "objects", "keys", "pending.jsonl")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises:
        BackupError: there is none, or one of another format.
    """
    path = folder / NAME
    if not path.exists():
        raise BackupError(f"{folder} holds no whole backup: there is no {NAME} in it")
    try:
        raw = json.loads(path.read_text())
        if raw["format"] != FORMAT:
            raise BackupError(f"{path} has format {raw['format']}; this release reads {FORMAT}")
        raw["files"] = {name: FileFacts(**facts) for name, facts in raw["files"].items()}
        return Manifest(**raw)
    except (ValueError, TypeError, KeyError) as exc:
        raise BackupError(f"{path} is damaged: {exc!r}") from exc


def verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest.

    Raises:
        BackupError: one is missing or was changed.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BackupError(f"the backup is damaged: {name} lies outside of it")
        if not path.exists():
            raise BackupError(f"the backup is not whole: {path} is missing")
        if measure(path) != expected:
            raise BackupError(f"the backup is damaged: {path} is not what was saved")
