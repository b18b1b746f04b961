"""Configuration files, and settings as nested values that take precedence over one another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from entsemble._lib import toml
from entsemble.errors import ConfigError

_REMOTE_MODEL = re.compile("hf:|openai:")
"""Models that are not files, whatever their names look like."""

_VOICE_SCHEME = re.compile(r"(?P<scheme>[a-z]+):(?P<target>.+)")
"""How the model of a voice is named: what kind it is, and which one."""


def read_settings_file(path: Path) -> dict[str, Any]:
    """The values of a configuration file, with paths relative to its folder and not to the working folder.

    Raises:
        ConfigError: it cannot be read, or is not valid TOML.
    """
    try:
        values = toml.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except toml.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return _resolve_paths(values, path.parent)


def _resolve_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    pool = values.get("pool")
    if isinstance(pool, dict) and isinstance(pool.get("path"), str):
        values = values | {"pool": pool | {"path": folder / Path(pool["path"]).expanduser()}}
    rules = values.get("rules")
    if isinstance(rules, dict) and isinstance(rules.get("never"), str):
        values = values | {"rules": rules | {"never": read_names(folder / Path(rules["never"]).expanduser())}}
    members = values.get("members")
    if isinstance(members, list):
        values = values | {"members": [_resolve_model(member, folder) for member in members]}
    if "encoder" in values:
        values = values | {"encoder": _resolve_model(values["encoder"], folder)}
    voices = values.get("voices")
    if isinstance(voices, list):
        values = values | {"voices": [_resolve_voice(voice, folder) for voice in voices]}
    if isinstance(values.get("patterns"), str):
        values = values | {"patterns": folder / Path(values["patterns"]).expanduser()}
    return values


def _resolve_voice(table: object, folder: Path) -> object:
    model = table.get("model") if isinstance(table, dict) else None
    match = _VOICE_SCHEME.fullmatch(model) if isinstance(model, str) else None
    if not isinstance(table, dict) or match is None:
        return table
    path = folder / Path(match["target"]).expanduser()
    is_path = match["scheme"] in {"patterns", "student"} or ("/" in match["target"] and path.is_dir())
    return table | {"model": f"{match['scheme']}:{path}"} if is_path else table


def _resolve_model(table: object, folder: Path) -> object:
    model = table.get("model") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(model, str) or _REMOTE_MODEL.match(model):
        return table
    path = folder / Path(model).expanduser()
    is_path = model.endswith(".gguf") or ("/" in model and path.is_dir())
    return table | {"model": str(path)} if is_path else table


def merge(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with others over them; `None` replaces nothing, and labels are replaced as a whole."""
    merged = dict(base)
    for key, value in values.items():
        if value is None:
            continue
        base_value = merged.get(key)
        if not isinstance(value, Mapping) or key == "labels":
            merged[key] = value
        elif base_value is None or isinstance(base_value, Mapping):  # anything else stays, for validation to refuse
            merged[key] = merge(base_value or {}, value)
    return merged


def describe_errors(error: ValidationError) -> str:
    """Each invalid value by its keys, and what is wrong with it."""
    problems = []
    for details in error.errors():
        keys = ".".join(str(key) for key in details["loc"])
        is_unknown = details["type"] == "extra_forbidden"
        problems.append(f"{keys}: {'unknown setting' if is_unknown else details['msg']}")
    return "; ".join(problems)


def read_names(path: Path) -> tuple[str, ...]:
    """The names in a text file, one a line; empty lines, and lines that start with #, are none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read the names in {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
