"""The routes of a review: documents, edits, and what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from entsemble._lib.temporary import temporary_folder
from entsemble.errors import DataError, EntsembleError
from entsemble.review.edits import RefusedEditError
from entsemble.review.reading import ReadFile, read_files
from entsemble.review.session import Edited, Session
from entsemble.server.export import ExportHandler
from entsemble.server.learning import PoolLearner
from entsemble.server.limits import Limits
from entsemble.server.review_schemas import EditIn, ExtractionIn, HistoryEdit, ReviewTextsIn
from entsemble.server.review_work import PoolWriter, ReviewExtraction
from entsemble.server.schemas import ExportFormat, Problem
from entsemble.types import Document

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such document."},
    409: {"model": Problem, "description": "The edit or the file cannot be used; says why."},
    413: {"model": Problem, "description": "Too large."},
    422: {"model": Problem, "description": "Invalid; says where."},
}
_MAX_UPLOADS = 2
"""Files that are read at once; each may take a gigabyte."""

_QUEUE_LENGTH = 30


@dataclass(frozen=True, slots=True)
class Review:
    """What the routes of a review use.

    Attributes:
        session: the documents and their edits.
        extraction: extracts from documents that wait.
        pool_writer: writes what is signed off to the pool.
        learner: learns from the pool in the background.
        learned_sentences: how many of the pool's sentences results use that are extracted now.
        limits: what is accepted.
    """

    session: Session
    extraction: ReviewExtraction
    pool_writer: PoolWriter
    learner: PoolLearner
    learned_sentences: Callable[[], int]
    limits: Limits

    def changes(self, after: int, open_document: int | None, known_span: int) -> dict[str, Any]:
        """What has changed after a version, and the work in progress; see `Session.changes`."""
        view = self.session.changes(after, open_document, known_span)
        learning = {"learning": self.learner.is_learning, "learned": self.learned_sentences()}
        return view | learning | {"problem": self.pool_writer.problem, "work": self.extraction.progress()}

    def edit(self, body: EditIn) -> dict[str, Any]:
        """Make an edit; returns what has changed since the version of the page."""
        with _refusals():
            edited = self._edit(body)
        self.pool_writer.schedule()
        outcome, place = edited.outcome, edited.place
        return self.changes(body.after, body.open, body.known) | {
            "action": outcome.action,
            "count": outcome.count,
            "note": outcome.note,
            "place": {"document": place.document, "sentence": place.sentence, "span": place.span},
        }

    def _edit(self, body: EditIn) -> Edited:
        if isinstance(body.edit, HistoryEdit):
            return self.session.undo() if body.edit.action == "undo" else self.session.redo()
        return self.session.edit(body.edit.edit())

    def add(self, documents: list[Document], *, is_extracted: bool) -> dict[str, Any]:
        """Add documents; those without mentions are extracted."""
        for document in documents:
            triples = [(mention.start, mention.end, mention.label) for mention in document.mentions]
            self.limits.check_document(document.text, triples)
        added = self.session.add(documents, is_extracted=is_extracted)
        self._add_labels(documents)
        self.extraction.start(added[0] if added else None)
        return {"added": added, "known": len(documents) - len(added)}

    def _add_labels(self, documents: list[Document]) -> None:
        """Add the labels of annotated documents to the session's."""
        labels = self.session.labels
        new = {mention.label: "" for document in documents for mention in document.mentions}
        if new.keys() - labels.keys():
            self.session.set_defaults({**new, **labels}, nested=self.session.nested)


def add_review(app: FastAPI, review: Review, exports: ExportHandler) -> None:
    """Add `/v1/review`."""
    _add_documents(app, review)
    _add_edits(app, review)

    @app.get("/v1/review/export", tags=["review"], response_class=Response, responses=_PROBLEMS)
    async def export(
        request: Request,
        export_format: Annotated[ExportFormat, Query(alias="format")] = "jsonl",
        *,
        only_done: bool = False,
    ) -> Response:
        """The documents as they are now, as a file in any format that entsemble writes."""

        def documents() -> Iterator[Document]:
            return review.session.documents(only_done=only_done)

        content, suffix = await exports.documents_file(documents, export_format, request)
        headers = {"Content-Disposition": f'attachment; filename="review.{suffix}"'}
        return Response(content, media_type="application/octet-stream", headers=headers)


def _add_documents(app: FastAPI, review: Review) -> None:
    uploads = CapacityLimiter(_MAX_UPLOADS)

    @app.get("/v1/review/documents/{document_id}", tags=["review"], responses=_PROBLEMS)
    def get_document(document_id: Annotated[int, PathParameter(ge=0, le=2**53)]) -> Response:
        """Text and sentences of a document, with their mentions and rejected candidates."""
        view = review.session.document(document_id)
        if view is None:
            raise HTTPException(404, "there is no such document in the session")
        return JSONResponse(view)

    @app.post("/v1/review/documents", status_code=201, tags=["review"], responses=_PROBLEMS)
    def add_texts(body: ReviewTextsIn) -> dict[str, Any]:
        """Add texts, which are then extracted. A text that the session has under this name is left as it is."""
        review.limits.check_document_count(len(body.documents))
        names = [text.id or _first_words(text.text) for text in body.documents]
        documents = [Document(name, text.text) for name, text in zip(names, body.documents, strict=True)]
        return review.add(documents, is_extracted=False)

    @app.post("/v1/review/files", status_code=201, tags=["review"], responses=_PROBLEMS)
    async def add_file(request: Request, name: Annotated[str, Query(min_length=1, max_length=1000)]) -> dict[str, Any]:
        """Add the documents of a file in any format that entsemble reads; the body is the file.

        In a folder, the file's name has the folders before it: `letters/may/first.txt`.
        """
        content = await request.body()
        place = PurePosixPath(name)
        if ".." in place.parts or place.is_absolute():
            place = PurePosixPath(place.name)

        def add() -> dict[str, Any]:
            with _refusals(str(place)):
                files = _read_upload(place, content)
            added = [review.add(file.documents, is_extracted=file.is_extracted) for file in files]
            return {
                "added": [number for each in added for number in each["added"]],
                "known": sum(each["known"] for each in added),
            }

        return await to_thread.run_sync(add, limiter=uploads)

    @app.get("/v1/review/search", tags=["review"], responses=_PROBLEMS)
    def search(words: Annotated[str, Query(max_length=500)]) -> dict[str, list[int]]:
        """The documents whose names or texts hold all words."""
        return {"documents": review.session.find_documents(words.split())}


def _add_edits(app: FastAPI, review: Review) -> None:
    @app.get("/v1/review/changes", tags=["review"], responses=_PROBLEMS)
    def get_changes(
        after: int = -1,
        open: Annotated[int | None, Query(ge=0)] = None,  # noqa: A002
        known: int = -1,
    ) -> Response:
        """What has changed after a version: documents, settings, and the sentences of the open document.

        Spans whose id is at most `known` come without their facts, which never change.
        """
        return JSONResponse(review.changes(after, open, known))

    @app.get("/v1/review/queue", tags=["review"])
    def get_queue() -> Response:
        """Sentences that are not signed off, the one with the least certain mention first."""
        return JSONResponse({"sentences": review.session.uncertain_sentences(_QUEUE_LENGTH)})

    @app.post("/v1/review/edits", tags=["review"], responses=_PROBLEMS)
    def edit(body: EditIn) -> Response:
        """Make an edit. It is on disk when this answers."""
        return JSONResponse(review.edit(body))

    @app.post("/v1/review/extraction", status_code=202, tags=["review"], responses=_PROBLEMS)
    def extract(body: ExtractionIn) -> dict[str, int]:
        """Extract from documents in the background; `changes` shows each sentence as soon as it is done."""
        with _refusals():
            review.session.request_extraction(body.documents, again=body.again)
        review.extraction.start(body.documents[0])
        return {"waiting": len(body.documents)}

    @app.delete("/v1/review/extraction", status_code=204, tags=["review"])
    def cancel() -> None:
        """Cancel the extraction; what was extracted stays."""
        review.extraction.cancel()


def _read_upload(place: PurePosixPath, content: bytes) -> list[ReadFile]:
    """The documents of a file; those that are named after it get its folders before their names."""
    with temporary_folder() as folder:
        path = folder / place.name
        try:
            path.write_bytes(content)
        except (OSError, ValueError) as error:  # ValueError: NUL in the name
            problem = f"it cannot be stored under this name ({getattr(error, 'strerror', error)}); rename it"
            raise DataError(problem, path) from error
        files = list(read_files([path], None, None))
    if len(place.parts) == 1:
        return files

    def renamed(document: Document) -> Document:
        return replace(document, id=f"{place.parent}/{document.id}") if document.id.startswith(place.name) else document

    return [replace(file, documents=[renamed(document) for document in file.documents]) for file in files]


def _first_words(text: str, length: int = 40) -> str:
    """The beginning of a text, as its name."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length].rpartition(" ")[0] + " …"


@contextmanager
def _refusals(file_name: str | None = None) -> Iterator[None]:
    """Turn refused edits and unreadable files into error responses, which name the file and not its path."""
    try:
        yield
    except RefusedEditError as error:
        raise HTTPException(409, str(error)) from error
    except DataError as error:
        if file_name is None:
            raise
        place = file_name if error.line is None else f"{file_name}:{error.line}"
        raise HTTPException(409, f"{place}: {error.problem}") from error
    except EntsembleError as error:
        if file_name is None:
            raise
        raise HTTPException(409, f"{file_name}: {error}") from error
