"""What goes over the wire, with examples: the source of the OpenAPI description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from entsemble.experts.store import Expert
from entsemble.ner.documents import Extracted
from entsemble.types import NONE_LABEL, Document, Mention, mention_at

_OSLO: JsonDict = {"start": 12, "end": 16, "label": "location"}
_SENTENCE = "Ann went to Oslo."


def _whole(text: str) -> str:
    """No halves of characters, which no encoding can write."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a surrogate pair at {error.start}") from error
    return text


def _integer(value: object) -> object:
    """JSON knows one kind of number, and 3.0 is an integer there."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[str, AfterValidator(_whole)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(_whole)]


ExportFormat = Literal[
    "brat", "conll", "doccano", "html", "json", "jsonl", "label-studio", "parquet", "prodigy", "spacy"
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class MentionIn(_Body):
    """A mention that somebody says is there; offsets are in code points."""

    start: Annotated[int, Field(ge=0), BeforeValidator(_integer)]
    end: Annotated[int, Field(ge=1), BeforeValidator(_integer)]
    label: Name


class TextIn(_Body):
    """A text whose mentions are wanted."""

    text: Text
    id: Name | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"text": _SENTENCE}})


class AnnotatedIn(_Body):
    """A text and all mentions in it."""

    text: Annotated[Text, Field(min_length=1, pattern=r"\S")]
    mentions: list[MentionIn]

    model_config = ConfigDict(json_schema_extra={"example": {"text": _SENTENCE, "mentions": [_OSLO]}})

    def document(self) -> Document:
        """The same, checked.

        Raises:
            ValueError: a mention that is not in the text.
        """
        return Document("", self.text, tuple({_mention_in(self.text, m) for m in self.mentions}))


class ScoredIn(MentionIn):
    """A mention that a model or somebody says is there."""

    score: float | None = Field(None, ge=0, le=1)


class ExportedIn(_Body):
    """A text and its mentions, to be written to a file."""

    text: Text
    id: Name | None = None
    mentions: list[ScoredIn] = []

    model_config = ConfigDict(json_schema_extra={"example": {"text": _SENTENCE, "mentions": [_OSLO | {"score": 0.9}]}})

    def document(self, number: int) -> Document:
        """The same, checked; `number` is its id where it has none.

        Raises:
            ValueError: a mention that is not in the text.
        """
        found = {(m.start, m.end, m.label): m for m in self.mentions}.values()
        mentions = tuple(replace(_mention_in(self.text, m), score=m.score) for m in found)
        return Document(self.id or str(number), self.text, mentions)


class ExportIn(_Body):
    """Documents to be written to a file."""

    documents: list[ExportedIn] = Field(min_length=1)


class ExtractIn(_Body):
    """What `/v1/extract` is asked."""

    documents: list[TextIn] = Field(min_length=1)
    labels: dict[Name, Text] = Field({}, description="Name -> definition, which may be empty; none takes the server's.")
    threshold: float | None = Field(None, ge=0, le=1, description="A mention needs at least this score.")
    nested: bool | None = Field(None, description="Whether mentions may lie inside one another.")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"documents": [{"text": _SENTENCE}], "labels": {"person": "names of people", "location": ""}}
        }
    )


class PoolIn(_Body):
    """Annotated texts for the pool; one that is there already is corrected."""

    documents: list[AnnotatedIn] = Field(min_length=1)


class MentionOut(BaseModel):
    """A mention that was found."""

    start: int
    end: int
    text: str
    label: str
    score: float | None = None
    votes: dict[str, str] = {}


class Traced(BaseModel):
    """What became of one span that a member proposed."""

    text: str
    fate: str
    members: list[str]
    start: int | None = None
    end: int | None = None
    label: str | None = None
    detail: str = ""


class DocumentOut(BaseModel):
    """A text with what was found in it."""

    id: str
    text: str
    mentions: list[MentionOut]
    sentences: list[tuple[int, int]] = Field(description="Start and end of each, as the models were shown them.")
    ledger: list[Traced] = Field(description="Everything that was proposed, and what became of it.")
    verified: list[tuple[int, int, bool]] = Field(description="Spans that a verifier was asked about, and its word.")
    demonstrations: list[list[str]] = Field(
        description="For each sentence, what it was shown: ids of the pool's texts, `#` and a place where it is a part."
    )


class FailedOut(BaseModel):
    """A text that could not be done, and why."""

    id: str
    error: str


class ExtractOut(BaseModel):
    """The answer of `/v1/extract`."""

    documents: list[DocumentOut]
    failed: list[FailedOut] = []


class PooledOut(BaseModel):
    """A text of the pool."""

    id: str
    text: str
    mentions: list[MentionOut]


class PoolOut(BaseModel):
    """A part of the pool."""

    total: int
    version: int = Field(description="Goes up with each change.")
    documents: list[PooledOut]


class LabelsOut(BaseModel):
    """The labels that are asked for where a request names none."""

    labels: dict[str, str] = Field(description="Name -> definition, which may be empty.")


class ExpertOut(BaseModel):
    """An expert, as its card says."""

    name: str
    domain: str
    base: str
    labels: list[str]
    licence: str
    f1: float | None = Field(None, description="On sentences held back from its training.")


class ExpertsOut(BaseModel):
    """The experts that are here."""

    experts: list[ExpertOut]


class Problem(BaseModel):
    """Why a request was not done."""

    error: str

    model_config = ConfigDict(json_schema_extra={"example": {"error": "labels: each label may be given once"}})


def document_out(result: Extracted, sentences: Sequence[tuple[int, int]]) -> DocumentOut:
    """A result for the wire, with the start and end of each of its sentences."""
    found = result.document
    return DocumentOut(
        id=found.id,
        text=found.text,
        mentions=[_mention(m) for m in found.mentions],
        sentences=list(sentences),
        ledger=[Traced(**entry.to_json()) for entry in result.ledger],
        verified=[(span.start, span.end, kept) for span, kept in result.verifications.items()],
        demonstrations=[list(names) for names in result.demonstration_ids],
    )


def pooled_out(document: Document) -> PooledOut:
    """A text of the pool for the wire."""
    return PooledOut(id=document.id, text=document.text, mentions=[_mention(m) for m in document.mentions])


def expert_out(expert: Expert) -> ExpertOut:
    """An expert for the wire: nothing of where it lies."""
    card = expert.card
    return ExpertOut(
        name=card.name,
        domain=card.domain,
        base=card.base,
        labels=list(card.labels),
        licence=card.licence,
        f1=card.scores[0].f1 if card.scores else None,
    )


def _mention_in(text: str, told: MentionIn) -> Mention:
    if not told.start < told.end <= len(text):
        raise ValueError(f"no characters {told.start} to {told.end} in a text of {len(text)}")
    if told.label == NONE_LABEL:
        raise ValueError(f"{NONE_LABEL!r} is what models answer for 'no entity', so no label can be called so")
    return mention_at(text, told.start, told.end, told.label)


def _mention(mention: Mention) -> MentionOut:
    return MentionOut(
        start=mention.start,
        end=mention.end,
        text=mention.text,
        label=mention.label,
        score=mention.score,
        votes=dict(mention.votes),
    )
