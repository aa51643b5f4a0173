"""Typed Python modules from protos/*.proto, written only where they differ."""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.stack.report import step
from scripts.stack.site import REPOSITORY

_PLUGINS = {"mypy": "main", "mypy_grpc": "grpc"}
_OUTPUTS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(target: Path) -> None:
    """Write the modules of all protos below the folder, as `protos/…`.

    Raises:
        SystemExit: protoc refused a file; its messages are printed.
    """
    sources = sorted(str(path.relative_to(REPOSITORY)) for path in _list_sources())
    plugins = _write_plugins(target)
    outputs = ("python", "grpc_python", *plugins)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I."),
            *(f"--plugin=protoc-gen-{name}={path}" for name, path in plugins.items()),
            *(f"--{name}_out={target}" for name in outputs),
            *sources,
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"protoc failed:\n{done.stderr.strip()}")


def _write_plugins(folder: Path) -> dict[str, Path]:
    """Return protoc's plugins for types; pip's own scripts do not work under every path."""
    paths = {}
    for name, function in _PLUGINS.items():
        paths[name] = folder / f"protoc-gen-{name}"
        code = f"from mypy_protobuf.main import {function}; {function}()"
        command = shlex.join([sys.executable, "-c", code])
        paths[name].write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        paths[name].chmod(0o700)
    return paths


def _list_sources() -> list[Path]:
    return list((REPOSITORY / "protos").glob("*.proto"))


def _read_modules(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for glob in _OUTPUTS for path in folder.glob(glob)}


def main() -> int:
    """Make the modules, or with --check say whether they are up to date."""
    parser = argparse.ArgumentParser(prog="scripts/protos", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if stale")
    check_only: bool = parser.parse_args().check
    folder = REPOSITORY / "protos"
    with tempfile.TemporaryDirectory() as temporary:
        generate(Path(temporary))
        wanted = _read_modules(Path(temporary) / "protos")
    present = _read_modules(folder)
    stale = sorted(name for name in wanted | present if wanted.get(name) != present.get(name))
    if check_only:
        print(f"stale: {', '.join(stale)}; run scripts/protos" if stale else "up to date")
        return 1 if stale else 0
    with step(print, f"generated modules ({len(stale)} changed)"):
        for name in stale:
            _put(folder / name, wanted.get(name))
    return 0


def _put(path: Path, content: bytes | None) -> None:
    """Replace the file in one step, or remove it, so that no reader meets half a module."""
    if content is None:
        path.unlink()
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
