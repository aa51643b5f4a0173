"""Measures one subject on the running stack and prints requests/s and p50/p99: `scripts/bench chat-poll`."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from scripts.benchmarks.chat import bench_poll, bench_send
from scripts.benchmarks.likes import LikesResult, bench_likes
from scripts.benchmarks.load import Load, Result
from scripts.operator.console import quiet_logs
from scripts.operator.settings import use_local_stack

SUBJECTS: dict[str, Callable[[Load], Awaitable[Result | LikesResult]]] = {
    "chat-poll": bench_poll,
    "chat-send": bench_send,
    "likes": bench_likes,
}


async def _run(subject: str, load: Load) -> None:
    print((await SUBJECTS[subject](load)).describe())


def main() -> None:
    """Run the subject that the command line names."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("subject", choices=sorted(SUBJECTS))
    parser.add_argument("--workers", type=int, default=32, help="concurrent callers (32)")
    parser.add_argument("--seconds", type=float, default=5, help="how long (5)")
    options = parser.parse_args()
    use_local_stack()
    quiet_logs()
    asyncio.run(_run(options.subject, Load(options.workers, options.seconds)))


if __name__ == "__main__":
    main()
