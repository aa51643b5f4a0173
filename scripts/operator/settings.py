"""How every script of an operator finds its servers: those of the environment, or else those of the local stack."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dal.db.engine import MySQLSettings
from pkg.settings import ProcessSettings, SettingsError

if TYPE_CHECKING:
    from scripts.stack import Stack

# A person can wait; a big table may need it.
STATEMENT_TIMEOUT_S = 600.0

SettingsT = TypeVar("SettingsT", bound=ProcessSettings)


def use_local_stack(run_dir: Path = Path(__file__).parents[2] / ".run") -> "Stack | None":
    """Put the local stack's settings into the environment and return it, unless a database is named there or this is a container.

    Raises:
        SystemExit: there is neither a stack nor a database.
    """
    if any(name.startswith("DOUSHENG_MYSQL__") for name in os.environ):
        return None
    # An image of the product has none.
    if find_spec("scripts.stack") is None:
        return None
    from scripts.stack import Stack  # noqa: PLC0415

    stack = Stack(run_dir)
    if not (stack.site.run_dir / "env").exists():
        sys.exit(
            "there is no stack here, and no DOUSHENG_MYSQL__… in the environment; run scripts/up first"
        )
    os.environ.update(stack.environment())
    return stack


def load_settings(settings_class: type[SettingsT]) -> SettingsT:
    """Return a script's settings; end the script with the reason where they cannot be used."""
    use_local_stack()
    try:
        return settings_class.load()
    except SettingsError as exc:
        sys.exit(str(exc))


def with_long_statements(mysql: MySQLSettings) -> MySQLSettings:
    """Return the same server with a deadline that a count over a whole table keeps."""
    return mysql.model_copy(update={"statement_timeout_s": STATEMENT_TIMEOUT_S})
