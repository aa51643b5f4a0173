"""Finds out where the product runs: beside a local stack, in a container, or anywhere that the environment names."""

from importlib.util import find_spec
from pathlib import Path

from scripts.operator.doctor.place import Containers, Elsewhere, Place
from scripts.operator.settings import use_local_stack


def find_place(run_dir: Path) -> Place:
    """Return the place, with the settings of a local stack in the environment where it is one.

    Raises:
        LookupError: there is neither a stack nor anything in the environment.
    """
    try:
        stack = use_local_stack(run_dir)
    except SystemExit as exc:
        raise LookupError(str(exc)) from exc
    if stack is not None:
        from scripts.operator.doctor.local_stack import LocalStack  # noqa: PLC0415

        return LocalStack(stack)
    return Containers() if find_spec("scripts.stack") is None else Elsewhere()
