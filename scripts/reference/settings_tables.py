"""The tables of all settings, made from the pydantic models and the YAML files."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from dal.db.replication import ReplicationSettings
from pkg.settings import ENV_PREFIX, ProcessSettings, Section
from scripts.reference.tables import render_table
from scripts.stack.site import REPOSITORY

CONFIG = REPOSITORY / "config"
NAMES_OF_TYPES = {"integer": "integer", "number": "number", "boolean": "true or false"}
NAMES_OF_FORMATS = {"path": "path", "password": "secret", "zoneinfo": "time zone"}


@dataclass(frozen=True)
class Setting:
    """One key: where it stands, and what the code and the YAML file say of it."""

    section: str
    path: tuple[str, ...]
    schema: Mapping[str, Any]
    default: Any
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable that overrides it."""
        return ENV_PREFIX + "__".join((self.section, *self.path)).upper()


def list_processes() -> dict[str, type[ProcessSettings]]:
    """Return the settings class of every process, by the process's name."""
    places = {"gateway": "gateway.settings"} | {
        path.parent.name: f"services.{path.parent.name}.settings"
        for path in sorted((REPOSITORY / "services").glob("*/__main__.py"))
    }
    found = {}
    for name, module in places.items():
        declared = vars(importlib.import_module(module)).values()
        (found[name],) = [
            cls
            for cls in declared
            if isinstance(cls, type)
            and issubclass(cls, ProcessSettings)
            and cls.__module__ == module
        ]
    return found


def list_sections() -> dict[str, tuple[type[Section], list[str]]]:
    """Return every section's model and the processes that read it, in the order of the files."""
    sections: dict[str, tuple[type[Section], list[str]]] = {}
    for process, cls in list_processes().items():
        for name, field in cls.model_fields.items():
            model: Any = field.annotation
            sections.setdefault(name, (model, []))[1].append(process)
    sections["replication"] = (ReplicationSettings, ["`scripts/failover`"])
    return {path.stem: sections[path.stem] for path in sorted(CONFIG.glob("*.yml"))}


def list_settings(section: str, model: type[Section]) -> Iterator[Setting]:
    """Return the keys of one section, those of sections within it included."""
    content = yaml.safe_load((CONFIG / f"{section}.yml").read_text(encoding="utf-8")) or {}
    yield from _list_keys(section, (), model, content)


def render_settings_tables() -> str:
    """Return one table for each section in Markdown."""
    processes = len(list_processes())
    parts = []
    for name, (model, readers) in list_sections().items():
        rows = [
            (
                f"`{'.'.join(setting.path)}`",
                _render_type(setting.schema),
                f"`{_render_default(setting.default)}`",
                setting.meaning,
                f"`{setting.variable}`",
            )
            for setting in list_settings(name, model)
        ]
        by = "every process" if len(readers) == processes else ", ".join(readers)
        table = render_table(("Key", "Type", "Default", "Meaning", "Environment variable"), rows)
        parts.append(
            f"### `{name}`\n\n{_read_heading(CONFIG / f'{name}.yml')} Read by: {by}.\n\n{table}"
        )
    return "\n".join(parts)


def _list_keys(
    section: str, above: tuple[str, ...], model: type[Section], content: Mapping[str, Any]
) -> Iterator[Setting]:
    schemas = model.model_json_schema()["properties"]
    for key, field in model.model_fields.items():
        inner = _find_section(field.annotation)
        if inner is not None:
            yield from _list_keys(section, (*above, key), inner, content.get(key) or {})
        else:
            default = content[key] if key in content else field.get_default()
            meaning = " ".join((field.description or "").split())
            yield Setting(section, (*above, key), schemas[key], default, meaning)


def _find_section(annotation: Any) -> type[Section] | None:
    """Return the section within a section that a key holds, or may hold instead of null."""
    choices = (annotation, *get_args(annotation))
    return next((c for c in choices if isinstance(c, type) and issubclass(c, Section)), None)


def _read_heading(path: Path) -> str:
    """Return the comment at the top of a YAML file, which says what the section is for."""
    lines = path.read_text(encoding="utf-8").splitlines()
    count = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(line.removeprefix("#").strip() for line in lines[:count])


def _render_type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_render_type(choice) for choice in schema["anyOf"])
    if schema["type"] == "array":
        return f"list of {_render_type(schema['items'])}"
    name = NAMES_OF_FORMATS.get(schema.get("format", "")) or NAMES_OF_TYPES.get(
        schema["type"], "null" if schema["type"] == "null" else "text"
    )
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    limits += [f"`{schema['pattern']}`"] if "pattern" in schema else []
    limits += [f"`{choice}`" for choice in schema.get("enum", ())]
    return " ".join([name, ", ".join(limits)]).strip()


def _render_default(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).split("\n")[0]
