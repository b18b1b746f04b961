"""The routes of the HTTP interface."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from entsemble.data.palette import style_sheet
from entsemble.errors import DataError
from entsemble.server import schemas
from entsemble.server.export import ExportHandler
from entsemble.server.limits import Limits
from entsemble.server.metrics import Metrics
from entsemble.server.pool_file import PoolFile
from entsemble.server.readiness import Readiness
from entsemble.server.service import ExtractionService
from entsemble.server.streaming import ExtractHandler
from entsemble.types import Document

STATIC_FOLDER = Path(__file__).with_name("static")

_LOG = logging.getLogger("entsemble.server")

Problems = dict[int | str, dict[str, Any]]


def _problems(**descriptions: str) -> Problems:
    """OpenAPI descriptions of error responses by status, as `_401="no key"`."""
    return {
        int(status[1:]): {"model": schemas.Problem, "description": description}
        for status, description in descriptions.items()
    }


COMMON_PROBLEMS = _problems(_401="A key is required.", _403="A request from another site.", _421="Another host's name.")
_BODY_PROBLEMS = _problems(
    _400="Not JSON.",
    _409="Contradictory: for example a mention outside its text, or labels that cannot be used together.",
    _413="Too large.",
    _422="Invalid; says where.",
)
_WRITE_PROBLEMS = _problems(_503="The pool cannot be written.")
_UNKNOWN_DOCUMENT = _problems(_404="There is no such document.")


def add_extraction(app: FastAPI, handler: ExtractHandler) -> None:
    """Add `/v1/extract`."""

    @app.post(
        "/v1/extract",
        response_model=schemas.ExtractOut,
        tags=["extraction"],
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "JSON, or events if they are accepted."},
            **_BODY_PROBLEMS,
            **_problems(_503="Too many requests are waiting; see Retry-After.", _504="Timeout."),
        },
    )
    async def extract(
        request: Request, body: schemas.ExtractIn, accept: Annotated[str, Header()] = "application/json"
    ) -> Response:
        """Find the mentions in documents.

        With `Accept: text/event-stream` the response is a stream of events: `progress`, `document`, `failed`, and at
        the end `done` or `error`. Otherwise it is one JSON object with all results.
        """
        extraction = await run_in_threadpool(handler.parse, body)
        if "text/event-stream" in accept:
            return EventSourceResponse(handler.events(extraction))
        results = await handler.all_results(extraction, request)
        return JSONResponse(results.model_dump(mode="json"))


def add_export(app: FastAPI, handler: ExportHandler) -> None:
    """Add `/v1/export`."""

    @app.post(
        "/v1/export",
        tags=["extraction"],
        response_class=Response,
        responses={
            200: {"content": {"application/octet-stream": {}}},
            **_BODY_PROBLEMS,
            **_problems(_503="Too many requests are waiting; see Retry-After.", _504="Timeout."),
        },
    )
    async def export(
        request: Request,
        body: schemas.ExportIn,
        export_format: Annotated[schemas.ExportFormat, Query(alias="format")] = "jsonl",
    ) -> Response:
        """Documents with their mentions as a file in any format that entsemble writes; brat as a zip archive."""
        content, suffix = await handler.file(body, export_format, request)
        headers = {"Content-Disposition": f'attachment; filename="entities.{suffix}"'}
        return Response(content, media_type="application/octet-stream", headers=headers)


def add_pool(app: FastAPI, pool: PoolFile, limits: Limits) -> None:
    """Add `/v1/pool`."""

    def pool_out(documents: list[Document]) -> schemas.PoolOut:
        version, pool_documents = pool.snapshot()
        listed = [schemas.pool_document_out(document) for document in documents]
        return schemas.PoolOut(total=len(pool_documents), version=version, documents=listed)

    @app.get("/v1/pool", response_model=schemas.PoolOut, tags=["pool"], responses=_problems(_422="No such page."))
    def list_documents(
        offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> schemas.PoolOut:
        """The annotated documents that demonstrations are taken from, in insertion order."""
        version, documents = pool.snapshot()
        page = [schemas.pool_document_out(document) for document in documents[offset : offset + limit]]
        return schemas.PoolOut(total=len(documents), version=version, documents=page)

    @app.get(
        "/v1/pool/{document_id:path}",
        response_model=schemas.PoolDocumentOut,
        tags=["pool"],
        responses=_UNKNOWN_DOCUMENT,
    )
    def get_document(document_id: str) -> schemas.PoolDocumentOut:
        """One document of the pool."""
        _, documents = pool.snapshot()
        document = next((document for document in documents if document.id == document_id), None)
        if document is None:
            raise HTTPException(404, "there is no such document in the pool")
        return schemas.pool_document_out(document)

    @app.post(
        "/v1/pool",
        status_code=201,
        response_model=schemas.PoolOut,
        tags=["pool"],
        responses={**_BODY_PROBLEMS, **_WRITE_PROBLEMS},
    )
    def add_documents(body: schemas.PoolIn) -> schemas.PoolOut:
        """Add annotated texts. A text that is already in the pool is corrected, and keeps its id."""
        limits.check_document_count(len(body.documents))
        with _pool_errors():
            return pool_out(pool.add([document.document(limits) for document in body.documents], limits))

    @app.put(
        "/v1/pool/{document_id:path}",
        response_model=schemas.PoolDocumentOut,
        tags=["pool"],
        responses={**_BODY_PROBLEMS, **_WRITE_PROBLEMS, **_UNKNOWN_DOCUMENT},
    )
    def correct_document(document_id: str, body: schemas.AnnotatedIn) -> schemas.PoolDocumentOut:
        """Replace the text or the mentions of a document."""
        with _pool_errors():
            return schemas.pool_document_out(pool.correct(document_id, body.document(limits), limits))

    @app.delete(
        "/v1/pool/{document_id:path}",
        status_code=204,
        tags=["pool"],
        responses={**_WRITE_PROBLEMS, **_UNKNOWN_DOCUMENT},
    )
    def delete_document(document_id: str) -> None:
        """Delete a document."""
        with _pool_errors():
            pool.delete(document_id)


def add_state(app: FastAPI, service: ExtractionService, readiness: Readiness, metrics: Metrics) -> None:
    """Add labels, experts, health, readiness, metrics, and the page."""

    @app.get("/v1/labels", response_model=schemas.LabelsOut, tags=["state"])
    def get_labels() -> schemas.LabelsOut:
        """The labels for requests that name none: the server's, and the pool's."""
        return schemas.LabelsOut(labels=service.labels())

    @app.get("/v1/experts", response_model=schemas.ExpertsOut, tags=["state"])
    def list_experts() -> schemas.ExpertsOut:
        """The experts that can be used while the pool is empty."""
        return schemas.ExpertsOut(experts=[schemas.expert_out(expert) for expert in service.experts()])

    @app.get("/healthz", tags=["state"])
    def get_health() -> dict[str, str]:
        """Whether the server is running."""
        return {"status": "alive"}

    @app.get("/readyz", tags=["state"], responses=_problems(_503="Not yet, or not at all."))
    def get_readiness() -> Response:
        """Whether the models are loaded."""
        readiness.start_loading()
        if readiness.is_ready:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"error": readiness.problem or "loading"}, 503, {"Retry-After": "5"})

    @app.get("/metrics", tags=["state"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def get_metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    def get_page() -> Response:
        return FileResponse(STATIC_FOLDER / "index.html")

    @app.get("/static/palette.css", include_in_schema=False)
    def get_palette() -> Response:
        return Response(style_sheet(), media_type="text/css")


@contextmanager
def _pool_errors() -> Iterator[None]:
    """Turn errors of a change of the pool into error responses."""
    try:
        yield
    except KeyError as error:
        raise HTTPException(404, "there is no such document in the pool") from error
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    except DataError as error:
        _LOG.error("%s", error)
        raise HTTPException(503, "the pool cannot be written; see the server's log") from error
