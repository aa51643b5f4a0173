"""Files that their owner alone may read; an image of the product has this, but not the local stack."""

from pathlib import Path


def make_private_dir(path: Path) -> None:
    """Make a folder, unless it is there."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Put a file there in one step: others see all of it, or what was there before."""
    make_private_dir(path.parent)
    part = path.with_name(f".{path.name}.part")
    part.touch(mode=0o600)
    part.write_bytes(data)
    part.replace(path)
