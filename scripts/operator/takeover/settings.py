"""What the operator says about the original, in a file that nobody else may read; `takeover.yml` in scripts/README.md."""

from pathlib import Path
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator

from dal.db.engine import MySQLSettings
from pkg.crypt.messages import CryptSettings
from pkg.settings import ProcessSettings, Section, SettingsError, describe_problems, read_section
from pkg.storage import StorageSettings
from scripts.operator.settings import with_long_statements

PRIVATE = 0o077
# A server that copies a large object within itself, or reads one from a slow disk.
STORAGE_TIMEOUT_S = 120.0

SectionT = TypeVar("SectionT", bound=Section)


class OurSettings(ProcessSettings):
    """Where everything goes."""

    mysql: MySQLSettings
    crypt: CryptSettings
    storage: StorageSettings


class OriginalSettings(Section):
    """The file."""

    mysql: dict[str, Any]
    """Its database, with the keys of our section `mysql`; what is missing is as ours."""
    time_zone: str = "UTC"
    """The zone of its host, such as `Asia/Shanghai`: its times have none."""
    message_key: Path | None = None
    """The private RSA key of its chat messages, PEM."""
    objects: Literal["copy", "keep"] = "copy"
    """`copy`: what cannot be served under its key is copied under another; `keep`: nobody looks at the storage."""
    storage: dict[str, Any] | None = Field(default=None)
    """The storage that all objects are copied from, with the keys of our section `storage`; null: ours holds them."""

    @field_validator("time_zone")
    @classmethod
    def _refuse_unknown_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as exc:
            raise ValueError("is no zone of the time-zone database, such as Asia/Shanghai") from exc
        return value

    def find_mysql(self, ours: MySQLSettings) -> MySQLSettings:
        """Return the settings of the original's database.

        Raises:
            SettingsError: they cannot be used.
        """
        given = ours.model_dump() | {"replicas": ()} | self.mysql
        return with_long_statements(_validated(MySQLSettings, given, "mysql"))

    def find_storage(self, ours: StorageSettings) -> StorageSettings | None:
        """Return the settings of the original's storage; None: it is ours.

        Raises:
            SettingsError: they cannot be used.
        """
        if self.storage is None:
            return None
        return patient(_validated(StorageSettings, ours.model_dump() | self.storage, "storage"))


def patient(storage: StorageSettings) -> StorageSettings:
    """Return the same storage with a deadline that a copy of a large object keeps."""
    return storage.model_copy(update={"timeout_s": STORAGE_TIMEOUT_S})


def load_original(path: Path) -> OriginalSettings:
    """Return what the file says.

    Raises:
        SettingsError: it cannot be read or used, or others may read it.
    """
    if path.suffix != ".yml":
        raise SettingsError(f"{path}: the name must end with .yml")
    if path.exists() and path.stat().st_mode & PRIVATE:
        raise SettingsError(f"{path} holds a password and others may read it: chmod 600 {path}")
    return _validated(OriginalSettings, read_section(path.parent, path.stem), str(path))


def _validated(kind: type[SectionT], values: dict[str, Any], what: str) -> SectionT:
    try:
        return kind.model_validate(values)
    except ValidationError as exc:
        raise SettingsError(f"{what}: {describe_problems(exc)}") from exc
