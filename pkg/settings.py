"""Typed settings: `config/<section>.yml`, overridden by `DOUSHENG_<SECTION>__<KEY>`.

A section is one frozen model and one YAML file. A process composes the sections that it needs into a subclass of
`ProcessSettings` and reads it once, in its `__main__`, with `load_settings`. Unknown keys are refused in both places,
and so is a secret that still holds the placeholder of the YAML files.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

ENV_PREFIX = "DOUSHENG_"
PLACEHOLDER = "change-me"
# Read by the scripts that place a whole stack, not by a process.
SCRIPT_VARIABLES = frozenset({"DOUSHENG_PORT_BASE", "DOUSHENG_CONFIG_DIR"})
DEFAULT_CONFIG_DIR = Path(__file__).parents[1] / "config"


class SettingsError(Exception):
    """The configuration cannot be used; the text says which key and why, without its value."""


def _refuse_placeholder(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value() in ("", PLACEHOLDER):
        raise ValueError("is still the placeholder: set a secret of your own")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_refuse_placeholder)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """One YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MySQLSettings(Section):
    host: str
    port: Port
    user: str
    password: Secret
    database: str
    replicas: tuple[str, ...] = ()  # "host:port", read with the same user
    pool_size: Count
    connect_timeout_s: Seconds
    statement_timeout_s: Seconds
    max_replica_lag_s: Seconds


class RedisSettings(Section):
    host: str
    port: Port
    password: Secret
    timeout_s: Seconds


class RabbitMQSettings(Section):
    host: str
    port: Port
    user: str
    password: Secret
    virtual_host: str
    connect_timeout_s: Seconds
    confirm_timeout_s: Seconds
    prefetch: Count
    batch_size: Count


class EtcdSettings(Section):
    host: str
    port: Port
    timeout_s: Seconds
    lease_ttl_s: Count
    prefix: str


class StorageSettings(Section):
    host: str
    port: Port
    secure: bool
    access_key: Secret
    secret_key: Secret
    region: str
    timeout_s: Seconds


class TokenSettings(Section):
    issuer: str
    lifetime_s: Count
    public_keys_dir: Path  # one <kid>.pem for every key that is accepted
    key_id: str  # which of them signs
    private_key_file: Path | None = None  # the user service alone has it


class CryptSettings(Section):
    key_id: str  # which RSA key pair wraps new data keys
    private_keys_dir: Path  # one <key_id>.pem for every pair whose messages must stay readable
    original_key_id: str | None = None  # the pair of the original's messages; None: try every pair


class LogSettings(Section):
    level: str
    format: Annotated[str, Field(pattern="^(text|json)$")]
    directory: Path | None = None  # None: standard error alone
    rotation_mb: Count
    retention_files: Count


class MediaSettings(Section):
    probe_timeout_s: Seconds
    process_timeout_s: Seconds
    max_memory_mb: Count
    max_parallel: Count
    max_duration_s: Seconds


class ServiceSettings(Section):
    """What every gRPC service has: where it listens and what it tells the registry."""

    host: str
    port: Port
    advertise_host: str  # routable from the gateway
    metrics_port: Port
    stop_grace_s: Seconds


class UserSettings(ServiceSettings):
    max_failures_per_name: Count
    max_failures_per_address: Count
    login_window_s: Count


class VideoSettings(ServiceSettings):
    max_upload_mb: Count
    spool_dir: Path
    job_interval_s: Seconds
    lease_s: Seconds
    max_attempts: Count


class CommentSettings(ServiceSettings):
    display_time_zone: ZoneInfo  # in which create_date is written


class MessageSettings(ServiceSettings):
    stale_mark_s: Seconds  # a send that is marked for longer did not end as it should
    stream_interval_s: Seconds  # how often a stream looks for new messages
    slow_client_timeout_s: Seconds  # a stream whose client takes nothing for this long ends


class ProcessSettings(BaseSettings):
    """Base of a process's settings; every field is a section named like its YAML file."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    log: LogSettings

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - the signature is the library's
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment is read before the keyword arguments, which hold the YAML.
        return env_settings, init_settings

    @classmethod
    def load(cls, config_dir: Path | None = None) -> Self:
        """Read this process's sections from the YAML files and the environment.

        Raises:
            SettingsError: a file is missing, a key is unknown, or a value does not fit.
        """
        directory = config_dir or Path(os.environ.get("DOUSHENG_CONFIG_DIR", DEFAULT_CONFIG_DIR))
        refuse_unknown_sections(os.environ, directory)
        sections: dict[str, Any] = {
            name: read_section(directory, name) for name in cls.model_fields
        }
        try:
            return cls(**sections)
        except ValidationError as exc:
            raise SettingsError(describe_problems(exc)) from exc


def read_section(directory: Path, name: str) -> dict[str, Any]:
    """Return the mapping in one section's YAML file; an empty file is an empty mapping."""
    path = directory / f"{name}.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as exc:
        raise SettingsError(f"cannot read {path}: {exc}") from exc
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path} is not a mapping of keys to values")
    return content


def refuse_unknown_sections(environment: Mapping[str, str], directory: Path) -> None:
    """Raise SettingsError for a variable with our prefix that no section would read."""
    sections = {path.stem for path in directory.glob("*.yml")}
    for name in find_unknown_variables(environment, sections):
        raise SettingsError(f"unknown environment variable {name}: sections are {sorted(sections)}")


def find_unknown_variables(environment: Iterable[str], sections: set[str]) -> list[str]:
    """Return the variables that carry our prefix but name no section."""
    return [
        name
        for name in environment
        if name.startswith(ENV_PREFIX)
        and name not in SCRIPT_VARIABLES
        and name.removeprefix(ENV_PREFIX).split("__")[0].lower() not in sections
    ]


def describe_problems(error: ValidationError) -> str:
    """Return one line per problem, naming the key and never the value, which may be a secret."""
    lines = [
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_context=False, include_url=False)
    ]
    return "settings cannot be used:\n  " + "\n  ".join(lines)
