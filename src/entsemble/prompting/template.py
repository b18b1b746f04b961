"""Prompt templates: named, versioned files beside this module, so that a run can say exactly what it asked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from entsemble._lib import toml
from entsemble.errors import UnknownNameError

_FOLDER = files("entsemble.prompting") / "templates"


@dataclass(frozen=True, slots=True)
class Template:
    """The pieces of a prompt, each a format string; see `templates/ner-1.toml` for what each is for."""

    name: str
    header: str
    label: str
    defined_label: str
    label_separator: str
    text: str
    entities: str
    types: str
    checks: str
    between_demonstrations: str
    surface: str
    surface_separator: str
    nothing: str
    typing: str
    type: str
    check: str
    yes: str
    no: str
    stop: tuple[str, ...]


@cache
def load_template(name: str) -> Template:
    """The template called `name`.

    Raises:
        UnknownNameError: there is none of that name; the error lists those there are.
    """
    file = _FOLDER / f"{name}.toml"
    if not file.is_file():
        known = (f.name.removesuffix(".toml") for f in _FOLDER.iterdir() if f.name.endswith(".toml"))
        raise UnknownNameError("prompt template", name, known)
    values = toml.loads(file.read_text(encoding="utf-8"))
    return Template(**{f.name: values[f.name] for f in fields(Template)} | {"stop": tuple(values["stop"])})
