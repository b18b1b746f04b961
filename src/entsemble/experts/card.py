"""What is known of an expert: its card, `card.json` in its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator, model_validator

from entsemble.errors import DataError
from entsemble.types import Precision

CARD_FILE = "card.json"
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
NAME_RULE = "a name has up to 64 lower case letters, digits, '.', '_' and '-', a letter or digit first"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """Data that an expert was trained on.

    Attributes:
        name: of the data set, with its part, such as `wnut17 train`.
        licence: of the data.
        attribution: whom its licence asks to name.
        sha256: of the annotated sentences as they were read, so that a copy under another name can be found.
    """

    name: str
    sentences: int = Field(ge=0)
    mentions: int = Field(ge=0)
    licence: str
    attribution: str = ""
    sha256: str = ""


class Score(_Frozen):
    """What an expert was measured at.

    Attributes:
        data: what was scored.
        f1: typed, exact.
        f1_ci95: its interval.
        spans_f1: spans alone.
    """

    data: str
    sentences: int
    f1: float
    f1_ci95: tuple[float, float]
    spans_f1: float


class DomainVectors(_Frozen):
    """Where an expert's domain lies.

    Attributes:
        encoder: `weights` of what made them.
        rows: unit vectors of the training sentences' centres.
        sentences: how many training sentences each centre stands for.
    """

    encoder: str
    rows: tuple[tuple[FiniteFloat, ...], ...] = Field(min_length=1)
    sentences: tuple[int, ...]

    @model_validator(mode="after")
    def _fitting(self) -> DomainVectors:
        if len({len(row) for row in self.rows}) > 1 or not self.rows[0] or len(self.rows) != len(self.sentences):
            raise ValueError("rows must be alike long, and there must be one number of sentences for each")
        return self


class StartingExpert(_Frozen):
    """The expert whose training another went on from; `sha256` is of its weights."""

    expert: str
    sha256: str


class RecipePart(_Frozen):
    """An expert within a recipe; `sha256` is of its weights, so that a recipe names one content."""

    expert: str
    sha256: str
    weight: float


class Recipe(_Frozen):
    """Which experts were merged, and how; see `merging.merge.Merging`."""

    parts: tuple[RecipePart, ...]
    method: str
    rank: int | None
    density: float
    seed: int


class Card(_Frozen):
    """All that is known of an expert.

    Attributes:
        name: unique in a store; lower case letters, digits, `.`, `_` and `-`.
        domain: what its texts are about, in words.
        base: the model that it changes, as the catalogue or the hub calls it.
        base_sha256: of that model's weights as published, before any conversion; of its address, where only that is
            known.
        template: the prompt shape that it was trained on.
        labels: that it was trained on, or the one that it started from.
        sources: its data, and that of the expert it started from; empty for one that somebody brought without saying.
        licence: its own.
        vectors: of its domain.
        scores: what it was measured at.
        seed: of its training.
        precision: in which its base computed while it was trained, where that is known.
        training: settings of the training, as numbers.
        versions: of what trained it.
        start: what its training went on from, if not from the base as it is.
        foundation: whether it is there for others to start from; it is chosen for no text then, unless it is named.
        recipe: of a merged expert.
        files: name -> SHA-256, of the files beside the card.
    """

    card: Literal["entsemble.expert/1"] = "entsemble.expert/1"
    name: str
    domain: str = ""
    base: str
    base_sha256: str
    template: str
    labels: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    licence: str = "unknown"
    vectors: DomainVectors | None = None
    scores: tuple[Score, ...] = ()
    seed: int = 0
    precision: Precision | None = None
    training: dict[str, float] = {}
    versions: dict[str, str] = {}
    start: StartingExpert | None = None
    foundation: bool = False
    recipe: Recipe | None = None
    files: dict[str, str] = {}

    @field_validator("name")
    @classmethod
    def _named(cls, value: str) -> str:
        if not NAME_PATTERN.fullmatch(value):
            raise ValueError(NAME_RULE)
        return value


def combine_licences(licences: Iterable[str]) -> str:
    """All that these ask for, each once: `MIT` and `CC-BY-4.0 and MIT` make `MIT and CC-BY-4.0`."""
    return " and ".join(dict.fromkeys(part for licence in licences for part in licence.split(" and ")))


def load_card(folder: Path) -> Card:
    """The card in an expert's folder.

    Raises:
        DataError: there is none, or it does not say what a card must; says what is missing.
    """
    path = folder / CARD_FILE
    try:
        return Card.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"no expert: it has no {CARD_FILE}", folder) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(f"{place}: {first['msg']}", path) from error


def save_card(card: Card, folder: Path) -> None:
    """Write the card into an expert's folder."""
    told = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / CARD_FILE).write_text(told + "\n", encoding="utf-8")
