"""Prompt templates: named, versioned files, so that a run's prompts are reproducible."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from entsemble._lib import toml
from entsemble.errors import UnknownNameError

_FOLDER = files("entsemble.prompting") / "templates"


@dataclass(frozen=True, slots=True)
class Template:
    """The pieces of a prompt, each a format string; `templates/ner-1.toml` is an example."""

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
        UnknownNameError: there is no such template; the error lists all templates.
    """
    file = _FOLDER / f"{name}.toml"
    if not file.is_file():
        file_names = [other.name for other in _FOLDER.iterdir() if other.name.endswith(".toml")]
        raise UnknownNameError("prompt template", name, (other.removesuffix(".toml") for other in file_names))
    values = toml.loads(file.read_text(encoding="utf-8"))
    pieces = {piece.name: values[piece.name] for piece in fields(Template)}
    return Template(**pieces | {"stop": tuple(values["stop"])})
