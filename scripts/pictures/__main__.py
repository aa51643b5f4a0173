"""`scripts/screenshots`: bring the stack up, unless one is named, and take the pictures."""

import argparse
import asyncio
import sys
from pathlib import Path

from pkg.log import quiet_drivers
from scripts.pictures.scene import set_scene
from scripts.pictures.taking import take_pictures
from scripts.stack.report import StackError
from scripts.stack.seed import seed
from scripts.stack.site import REPOSITORY
from scripts.stack.stack import Stack


def main() -> int:
    """Take the pictures; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/screenshots",
        description="Take pictures of the web client's main views, on a phone and on a desktop, dark and light.",
    )
    parser.add_argument(
        "--url", help="a running system with the sample users (default: this stack, brought up)"
    )
    parser.add_argument("--run-dir", type=Path, default=REPOSITORY / ".run", help="default .run")
    parser.add_argument(
        "--out", type=Path, default=REPOSITORY / ".run" / "screenshots", help="where to"
    )
    options = parser.parse_args()
    quiet_drivers()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        base_url = options.url.rstrip("/") if options.url else _bring_up(options.run_dir)
        scene = set_scene(base_url)
        asyncio.run(take_pictures(base_url, scene, options.out, report=print))
    except StackError as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1
    return 0


def _bring_up(run_dir: Path) -> str:
    stack = Stack(run_dir, report=print)
    stack.up()
    seed(stack.site, report=print)
    return f"http://127.0.0.1:{stack.site.ports.of('nginx')}"


if __name__ == "__main__":
    sys.exit(main())
