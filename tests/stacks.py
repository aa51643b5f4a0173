"""Stacks that end with the block that brought them up, however it ends."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts.stack import Stack, find_free_port_base
from scripts.stack.report import Report, say_nothing


@contextmanager
def private_stack(
    folder: Path,
    *,
    workers: int = 1,
    tls: bool = False,
    overrides: Mapping[str, str] | None = None,
    mysql_replicas: int = 0,
    traces: bool = False,
    report: Report = say_nothing,
) -> Iterator[Stack]:
    """A stack on ports of its own, of which nothing runs yet; nothing of it is left afterwards."""
    stack = Stack(
        folder,
        find_free_port_base(workers),
        workers=workers,
        tls=tls,
        die_with_parent=True,
        overrides=overrides,
        mysql_replicas=mysql_replicas,
        traces=traces,
        report=report,
    )
    try:
        yield stack
    finally:
        stack.down()
