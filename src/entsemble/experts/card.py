"""An expert's card: `card.json` in its folder, with its base, data, scores and checksums."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator, model_validator

from entsemble._lib.regular import read_regular
from entsemble.errors import DataError
from entsemble.types import Precision

CARD_FILE = "card.json"
_MAX_BYTES = 50_000_000
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
NAME_RULE = "a name has up to 64 lower case letters, digits, '.', '_' and '-', and begins with a letter or digit"


_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=0, le=10**12)]


class _FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_FrozenModel):
    """A data set that an expert was trained on.

    Attributes:
        name: of the data set and its part, such as `wnut17 train`.
        sentences, mentions: their numbers.
        licence: of the data.
        attribution: whom the licence requires to name.
        sha256: of the annotated sentences, to recognise a copy under another name.
    """

    name: str
    sentences: _Count
    mentions: _Count
    licence: str
    attribution: str = ""
    sha256: str = ""


class Score(_FrozenModel):
    """The evaluation of an expert.

    Attributes:
        data: what it was evaluated on.
        sentences: number of evaluated sentences.
        f1: micro F1, exact.
        f1_ci95: 95 % interval of `f1`.
        spans_f1: F1 of the spans without labels.
    """

    data: str
    sentences: _Count
    f1: _Share
    f1_ci95: tuple[_Share, _Share]
    spans_f1: _Share


class DomainVectors(_FrozenModel):
    """Cluster centres of an expert's training sentences.

    Attributes:
        encoder: fingerprint of the encoder's weights.
        rows: centres, unit vectors.
        sentences: number of training sentences in each cluster.
    """

    encoder: str
    rows: tuple[tuple[FiniteFloat, ...], ...] = Field(min_length=1)
    sentences: tuple[_Count, ...]

    @model_validator(mode="after")
    def _check_shape(self) -> DomainVectors:
        if len({len(row) for row in self.rows}) > 1 or not self.rows[0] or len(self.rows) != len(self.sentences):
            raise ValueError("rows must have the same length, and there must be one number of sentences per row")
        if not any(self.sentences) or any(not 0.99 < sum(value * value for value in row) < 1.01 for row in self.rows):
            raise ValueError("rows must be unit vectors, of some sentences")
        return self


class StartingExpert(_FrozenModel):
    """The expert that a training started from; `sha256` is of its weights."""

    expert: str
    sha256: str


class RecipePart(_FrozenModel):
    """An expert in a recipe; `sha256` of its weights identifies its content."""

    expert: str
    sha256: str
    weight: FiniteFloat


class Recipe(_FrozenModel):
    """How a merged expert was made; see `MergeSettings`."""

    parts: tuple[RecipePart, ...]
    method: str
    rank: int | None
    density: FiniteFloat
    seed: int


class Card(_FrozenModel):
    """An expert's metadata.

    Attributes:
        name: unique within a store; lower case letters, digits, `.`, `_` and `-`.
        domain: description of its texts.
        base: the model that it adapts, as named in the catalogue or on the hub.
        base_sha256: of that model's weights as published, before any conversion; of its address, if the weights'
            checksum is unknown.
        template: prompt template that it was trained on.
        labels: that it, or the expert that it started from, was trained on.
        sources: its training data, and that of the expert that it started from; empty if unknown.
        licence: of the expert.
        vectors: of its domain.
        scores: its evaluations.
        seed: of its training.
        precision: of the base model's computations during training, if known.
        training: numeric settings and results of the training.
        versions: of the software that trained it.
        start: the expert that its training started from, if any.
        foundation: whether it is meant as a start for other experts; it is then selected only if named explicitly.
        recipe: of a merged expert.
        files: name -> SHA-256 of the files beside the card.
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
    training: dict[str, FiniteFloat] = {}
    versions: dict[str, str] = {}
    start: StartingExpert | None = None
    foundation: bool = False
    recipe: Recipe | None = None
    files: dict[str, str] = {}

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not NAME_PATTERN.fullmatch(value):
            raise ValueError(NAME_RULE)
        return value


class CardSummary(_FrozenModel):
    """What a list of experts shows, and needs to check their files; see `Card`."""

    name: str
    domain: str
    base: str
    label_count: int
    licence: str
    files: dict[str, str]

    @classmethod
    def of(cls, card: Card) -> CardSummary:
        """The summary of a card."""
        return cls(
            name=card.name,
            domain=card.domain,
            base=card.base,
            label_count=len(card.labels),
            licence=card.licence,
            files=card.files,
        )


def combine_licences(licences: Iterable[str]) -> str:
    """All licences, each once.

    >>> combine_licences(["MIT", "CC-BY-4.0 and MIT"])
    'MIT and CC-BY-4.0'
    """
    return " and ".join(dict.fromkeys(part for licence in licences for part in licence.split(" and ")))


def load_card(folder: Path) -> Card:
    """The card in an expert's folder.

    Raises:
        DataError: there is none, or it is not valid; the message names the field.
    """
    path = folder / CARD_FILE
    try:
        return Card.model_validate_json(read_regular(path, _MAX_BYTES))
    except FileNotFoundError as error:
        raise DataError(f"not an expert: it has no {CARD_FILE}", folder) from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); get the expert again", path) from error
    except ValidationError as error:
        first_problem = error.errors()[0]
        field_path = ".".join(map(str, first_problem["loc"])) or "the whole"
        raise DataError(f"{field_path}: {first_problem['msg']}; get the expert again", path) from error


def save_card(card: Card, folder: Path) -> None:
    """Write the card into an expert's folder."""
    content = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / CARD_FILE).write_text(content + "\n", encoding="utf-8")
