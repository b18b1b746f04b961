"""Request and response bodies, with examples; the OpenAPI description is generated from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from entsemble.experts.store import Expert
from entsemble.ner.documents import Extracted
from entsemble.server.limits import Limits
from entsemble.types import NONE_LABEL, Document, Mention, mention_at

_OSLO_MENTION: JsonDict = {"start": 12, "end": 16, "label": "location"}
_SENTENCE = "Ann went to Oslo."


class InvalidMentionError(Exception):
    """A mention that is not in its text, or whose label cannot be used."""


def reject_surrogates(text: str) -> str:
    """The text; a lone surrogate, which no encoding can represent, is an error."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"lone surrogate at {error.start}") from error
    return text


def _as_integer(value: object) -> object:
    """3.0 as 3: JSON has only one type of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


AnyMention = TypeVar("AnyMention", bound="MentionIn")
Text = Annotated[str, AfterValidator(reject_surrogates)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(reject_surrogates)]
Label = Annotated[str, Field(min_length=1, pattern=r"\S"), AfterValidator(reject_surrogates)]


ExportFormat = Literal[
    "bioc",
    "bioc-json",
    "brat",
    "conll",
    "csv",
    "doccano",
    "html",
    "json",
    "jsonl",
    "label-studio",
    "parquet",
    "prodigy",
    "pubtator",
    "spacy",
    "tsv",
    "xlsx",
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class MentionIn(_Body):
    """A mention in a request; offsets are in code points."""

    start: Annotated[int, Field(ge=0), BeforeValidator(_as_integer)]
    end: Annotated[int, Field(ge=1), BeforeValidator(_as_integer)]
    label: Label


class TextIn(_Body):
    """A document to extract from."""

    text: Text
    id: Name | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"text": _SENTENCE}})


class AnnotatedIn(_Body):
    """A text with all of its mentions."""

    text: Annotated[Text, Field(min_length=1, pattern=r"\S")]
    mentions: list[MentionIn]

    model_config = ConfigDict(json_schema_extra={"example": {"text": _SENTENCE, "mentions": [_OSLO_MENTION]}})

    def document(self, limits: Limits) -> Document:
        """The document, without an id.

        Raises:
            TooLargeError: a limit is exceeded.
            InvalidMentionError: a mention is not in the text.
        """
        distinct = _distinct_mentions(self.text, self.mentions, limits)
        return Document("", self.text, tuple(_to_mention(self.text, mention) for mention in distinct))


class ScoredIn(MentionIn):
    """A mention in a request, with the score that a model gave it."""

    score: float | None = Field(None, ge=0, le=1)


class ExportDocumentIn(_Body):
    """A document to export."""

    text: Text
    id: Name | None = None
    mentions: list[ScoredIn] = []

    model_config = ConfigDict(
        json_schema_extra={"example": {"text": _SENTENCE, "mentions": [_OSLO_MENTION | {"score": 0.9}]}}
    )

    def document(self, number: int, limits: Limits) -> Document:
        """The document; `number` is its id if it has none.

        Raises:
            TooLargeError: a limit is exceeded.
            InvalidMentionError: a mention is not in the text.
        """
        distinct = _distinct_mentions(self.text, self.mentions, limits)
        mentions = tuple(replace(_to_mention(self.text, mention), score=mention.score) for mention in distinct)
        return Document(self.id or str(number), self.text, mentions)


class ExportIn(_Body):
    """Documents to export to a file."""

    documents: list[ExportDocumentIn] = Field(min_length=1)


class ExtractIn(_Body):
    """The request of `/v1/extract`."""

    documents: list[TextIn] = Field(min_length=1)
    labels: dict[Label, Text] = Field(
        {}, description="Name -> definition, which may be empty. Default: the server's labels."
    )
    threshold: float | None = Field(None, ge=0, le=1, description="Minimum score of a mention.")
    nested: bool | None = Field(None, description="Whether mentions may lie inside one another.")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"documents": [{"text": _SENTENCE}], "labels": {"person": "names of people", "location": ""}}
        }
    )


class PoolIn(_Body):
    """Annotated texts for the pool; a text that is already in the pool is corrected."""

    documents: list[AnnotatedIn] = Field(min_length=1)


class MentionOut(BaseModel):
    """A mention in a response."""

    start: int
    end: int
    text: str
    label: str
    score: float | None = None
    votes: dict[str, str] = {}


class LedgerEntryOut(BaseModel):
    """What became of one proposed span."""

    text: str
    fate: str
    members: list[str]
    start: int | None = None
    end: int | None = None
    label: str | None = None
    detail: str = ""
    score: float | None = None


class DocumentOut(BaseModel):
    """A document with its extracted mentions."""

    id: str
    text: str
    mentions: list[MentionOut]
    sentences: list[tuple[int, int]] = Field(description="Start and end of each sentence, as the models saw them.")
    ledger: list[LedgerEntryOut] = Field(description="Every proposed span, and what became of it.")
    verified: list[tuple[int, int, bool]] = Field(
        description="Start and end of each verified span, and whether the verifier confirmed it."
    )
    demonstrations: list[list[str]] = Field(
        description="For each sentence, the pool ids of its demonstrations; parts of a text are numbered with `#`."
    )


class FailedOut(BaseModel):
    """A document that failed, and why."""

    id: str
    error: str


class ExtractOut(BaseModel):
    """The response of `/v1/extract`."""

    documents: list[DocumentOut]
    failed: list[FailedOut] = []


class PoolDocumentOut(BaseModel):
    """A document of the pool."""

    id: str
    text: str
    mentions: list[MentionOut]


class PoolOut(BaseModel):
    """Documents of the pool."""

    total: int
    version: int = Field(description="Increases with each change.")
    documents: list[PoolDocumentOut]


class LabelsOut(BaseModel):
    """The labels for requests that name none."""

    labels: dict[str, str] = Field(description="Name -> definition, which may be empty.")


class ExpertOut(BaseModel):
    """An expert, from its card."""

    name: str
    domain: str
    base: str
    labels: list[str]
    licence: str
    f1: float | None = Field(None, description="On held-out sentences.")


class ExpertsOut(BaseModel):
    """All experts on the server."""

    experts: list[ExpertOut]


class Problem(BaseModel):
    """Why a request was refused or failed."""

    error: str

    model_config = ConfigDict(json_schema_extra={"example": {"error": "labels: each label may be given once"}})


def document_out(result: Extracted, sentences: Sequence[tuple[int, int]]) -> DocumentOut:
    """The response for a result; `sentences` are the start and end of each of its sentences."""
    document = result.document
    return DocumentOut(
        id=document.id,
        text=document.text,
        mentions=[_mention_out(mention) for mention in document.mentions],
        sentences=list(sentences),
        ledger=[LedgerEntryOut(**entry.to_json()) for entry in result.ledger],
        verified=[(span.start, span.end, is_confirmed) for span, is_confirmed in result.verifications.items()],
        demonstrations=[list(document_ids) for document_ids in result.demonstration_ids],
    )


def pool_document_out(document: Document) -> PoolDocumentOut:
    """The response for a document of the pool."""
    mentions = [_mention_out(mention) for mention in document.mentions]
    return PoolDocumentOut(id=document.id, text=document.text, mentions=mentions)


def expert_out(expert: Expert) -> ExpertOut:
    """The response for an expert, without its location."""
    card = expert.card
    return ExpertOut(
        name=card.name,
        domain=card.domain,
        base=card.base,
        labels=list(card.labels),
        licence=card.licence,
        f1=card.scores[0].f1 if card.scores else None,
    )


def _distinct_mentions(text: str, mentions: Iterable[AnyMention], limits: Limits) -> Iterable[AnyMention]:
    """The mentions, each once, and the last one of several with the same offsets and label."""
    distinct = {(mention.start, mention.end, mention.label): mention for mention in mentions}
    for mention in distinct.values():
        _check_mention(text, mention)
    limits.check_document(text, distinct)
    return distinct.values()


def _check_mention(text: str, mention: MentionIn) -> None:
    if not mention.start < mention.end <= len(text):
        raise InvalidMentionError(
            f"offsets {mention.start} to {mention.end} are outside a text of {len(text)} characters"
        )
    if mention.label == NONE_LABEL:
        raise InvalidMentionError(f"{NONE_LABEL!r} is the models' answer for 'no entity', and cannot be a label")


def _to_mention(text: str, mention: MentionIn) -> Mention:
    return mention_at(text, mention.start, mention.end, mention.label)


def _mention_out(mention: Mention) -> MentionOut:
    return MentionOut(
        start=mention.start,
        end=mention.end,
        text=mention.text,
        label=mention.label,
        score=mention.score,
        votes=dict(mention.votes),
    )
