"""Typed settings: `config/<section>.yml`, overridden by `DOUSHENG_<SECTION>__<KEY>`.

A section is one frozen model and one YAML file. A process composes the sections that it needs into a subclass of
`ProcessSettings` and reads it once, when it starts, with `ProcessSettings.load`. Unknown keys are refused in both places,
and so is a secret that still holds the placeholder of the YAML files.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

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

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LogSettings(Section):
    level: str
    """The least level that is written, such as `DEBUG`, `INFO` or `WARNING`."""
    format: Annotated[str, Field(pattern="^(text|json)$")]
    """`text` for people, `json` for containers."""
    directory: Path | None = None
    """A folder for rotated files beside standard error; null: standard error alone."""
    rotation_mb: Count
    """A file that has grown to this many MiB is closed and a new one begun."""
    retention_files: Count
    """How many closed files of a process are kept."""


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
        except UnreadableVariable as exc:
            raise SettingsError(
                f"settings cannot be used: {exc}: a list or a mapping is written as JSON"
            ) from exc


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
