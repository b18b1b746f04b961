"""Request bodies of a review: texts, and one class for each kind of edit."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from entsemble.review import actions
from entsemble.review.session import Action
from entsemble.server.schemas import Text, TextIn, reject_surrogates

Id = Annotated[int, Field(ge=0, le=2**53)]
Ids = Annotated[list[Id], Field(min_length=1)]
Score = Annotated[float, Field(ge=0, le=1)]
LabelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(reject_surrogates)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SpanEdit(_Body):
    """Accept or reject one mention."""

    action: Literal["accept", "reject"]
    span: Id

    def edit(self) -> Action:
        """The function that makes the edit."""
        function = actions.accept if self.action == "accept" else actions.reject
        return partial(function, span_id=self.span)


class RelabelEdit(_Body):
    """Give a mention another label."""

    action: Literal["relabel"]
    span: Id
    label: LabelName

    def edit(self) -> Action:
        """See `SpanEdit.edit`."""
        return partial(actions.relabel, span_id=self.span, label=self.label)


class MoveEdit(_Body):
    """Give a mention other edges."""

    action: Literal["move"]
    span: Id
    start: Id
    end: Id

    def edit(self) -> Action:
        """See `SpanEdit.edit`."""
        return partial(actions.move, span_id=self.span, start=self.start, end=self.end)


class AddEdit(_Body):
    """Add a mention."""

    action: Literal["add"]
    document: Id
    start: Id
    end: Id
    label: LabelName

    def edit(self) -> Action:
        """See `SpanEdit.edit`."""
        return partial(actions.add, document=self.document, start=self.start, end=self.end, label=self.label)


class SentenceEdit(_Body):
    """Sign off a sentence, with its mentions or without any, or reopen it."""

    action: Literal["sign", "unsign", "empty"]
    document: Id
    sentence: Id

    def edit(self) -> Action:
        """See `SpanEdit.edit`."""
        if self.action == "empty":
            return partial(actions.mark_empty, document=self.document, sentence=self.sentence)
        is_signed = self.action == "sign"
        return partial(actions.sign, document=self.document, sentence=self.sentence, is_signed=is_signed)


class DocumentsEdit(_Body):
    """Sign off, reopen or delete documents."""

    action: Literal["finish", "reopen", "delete"]
    documents: Ids

    def edit(self) -> Action:
        """See `SpanEdit.edit`."""
        functions = {"finish": actions.finish, "reopen": actions.reopen, "delete": actions.delete}
        return partial(functions[self.action], documents=self.documents)


class ScoreEdit(_Body):
    """Accept or reject the undecided mentions of documents by their score."""

    action: Literal["accept-above", "reject-below"]
    documents: Ids
    score: Score

    def edit(self) -> Action:
        """See `SpanEdit.edit`."""
        accepts = self.action == "accept-above"
        return partial(actions.filter_scores, documents=self.documents, minimum=self.score, accepts=accepts)


class NameEdit(_Body):
    """Label or reject all of a name, in the document or in the session."""

    action: Literal["label-name", "reject-name"]
    span: Id
    scope: actions.Scope

    def edit(self) -> Action:
        """See `SpanEdit.edit`."""
        function = actions.label_name if self.action == "label-name" else actions.reject_name
        return partial(function, span_id=self.span, scope=self.scope)


class LabelIn(_Body):
    """A label of the session."""

    name: LabelName
    definition: Annotated[Text, Field(max_length=2000)] = ""


class LabelsEdit(_Body):
    """Set the labels of the session."""

    action: Literal["labels"]
    labels: Annotated[list[LabelIn], Field(min_length=1, max_length=200)]

    def edit(self) -> Action:
        """See `SpanEdit.edit`."""
        return partial(actions.set_labels, labels={label.name: label.definition for label in self.labels})


class NestedEdit(_Body):
    """Set whether mentions may lie inside one another."""

    action: Literal["nested"]
    nested: bool

    def edit(self) -> Action:
        """See `SpanEdit.edit`."""
        return partial(actions.set_nested, nested=self.nested)


class HistoryEdit(_Body):
    """Undo the last edit, or redo the one that was undone last."""

    action: Literal["undo", "redo"]


AnyEdit = Annotated[
    SpanEdit
    | RelabelEdit
    | MoveEdit
    | AddEdit
    | SentenceEdit
    | DocumentsEdit
    | ScoreEdit
    | NameEdit
    | LabelsEdit
    | NestedEdit
    | HistoryEdit,
    Field(discriminator="action"),
]


class EditIn(_Body):
    """An edit, and what the page has already.

    Attributes:
        after: the version of the session that the page shows.
        open: the document that it shows.
        known: the highest id of a span of that document whose facts it has.
    """

    edit: AnyEdit
    after: int = -1
    open: Id | None = None
    known: int = -1


class ExtractionIn(_Body):
    """Documents to extract from.

    Attributes:
        again: whether sentences that were extracted, and are not signed off, are extracted again.
    """

    documents: Ids
    again: bool = False


class ReviewTextsIn(_Body):
    """Texts to add to the session."""

    documents: list[TextIn] = Field(min_length=1)
