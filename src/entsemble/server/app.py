"""The HTTP interface: routes, and what each refusal says. `create_app` is all that others need."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import Match

import entsemble
from entsemble.data.formats import write
from entsemble.errors import DataError, EntsembleError, MissingExtraError
from entsemble.server import schemas
from entsemble.server.admission import FullError, Turnstile
from entsemble.server.metrics import Measured, Measures
from entsemble.server.security import Guard, Limits
from entsemble.server.service import Workbench
from entsemble.server.streaming import NOT_DONE, Extraction
from entsemble.types import Document

_STATIC = Path(__file__).with_name("static")
_LOG = logging.getLogger("entsemble.server")

Refusals = dict[int | str, dict[str, Any]]


def _refusals(**told: str) -> Refusals:
    """How a refusal is described: `_401="no key"`."""
    return {int(status[1:]): {"model": schemas.Problem, "description": why} for status, why in told.items()}


_CLASH = "Its parts cannot all be right: a mention that is not in its text, labels that cannot stand together."
_EVERYWHERE = _refusals(_401="A key is needed.", _403="Asked from another site's page.", _421="Another host's name.")
_WITH_BODY = _refusals(_400="No JSON.", _413="Too much at once.", _422="It cannot be right; says where.", _409=_CLASH)
_AGAIN_SECONDS = 30.0
"""After which models that could not be loaded are tried again."""
_NOT_LOADED = "the models cannot be loaded; the server's log says why"
_CHANGES = _refusals(_503="The pool cannot be written.")


class Readiness:
    """Whether the models that a first request needs are loaded; where they could not be, it is tried again."""

    def __init__(self, workbench: Workbench, threads: ThreadPoolExecutor) -> None:
        self._workbench, self._threads = workbench, threads
        self._turn, self._trying, self._next = threading.Lock(), False, 0.0
        self.done, self.problem = False, ""

    def look(self) -> None:
        """Begin to load them, where they are neither loaded nor being loaded, and did not fail just now."""
        with self._turn:
            if self.done or self._trying or time.monotonic() < self._next:
                return
            self._trying = True
        self._threads.submit(self._warm)

    def _warm(self) -> None:
        try:
            self._workbench.warm()
        except EntsembleError as error:
            _LOG.error("the models cannot be loaded: %s", error)
            self.problem = _NOT_LOADED
        except Exception:
            _LOG.exception("the models cannot be loaded")
            self.problem = _NOT_LOADED
        else:
            self.done = True
        with self._turn:
            self._trying, self._next = False, time.monotonic() + _AGAIN_SECONDS


def create_app(workbench: Workbench, limits: Limits | None = None, key: str | None = None) -> FastAPI:
    """The server as an ASGI application.

    Args:
        workbench: answers; closed with the application.
        limits: how much is taken on.
        key: that requests must bring; `None` asks for none, and answers only to this machine's own names.
    """
    limits = limits or Limits()
    turnstile = Turnstile(limits.running, limits.waiting)
    measures = Measures(turnstile)
    threads = ThreadPoolExecutor(limits.running + 2, thread_name_prefix="entsemble-request")
    ready = Readiness(workbench, threads)

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        ready.look()
        yield
        workbench.stop()
        await run_in_threadpool(threads.shutdown)
        workbench.close()

    app = FastAPI(
        title="entsemble",
        version=entsemble.__version__,
        summary="Named entities with your own labels, found by several small language models on your own machine.",
        docs_url=None,  # its page fetches scripts from another host
        redoc_url=None,
        lifespan=living,
        responses=_EVERYWHERE,
    )
    app.add_middleware(Guard, key=key, body=limits.body)
    app.add_middleware(Measured, measures=measures)
    _handle_errors(app)
    _add_extraction(app, Extraction(workbench, limits, turnstile, measures, threads))
    _add_export(app)
    _add_pool(app, workbench, limits)
    _add_state(app, workbench, ready, measures)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app


def _handle_errors(app: FastAPI) -> None:
    """Every refusal is `{"error": why}`, and says nothing of files, addresses or keys."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first, *_rest = error.errors()
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        status = 400 if first["type"] == "json_invalid" else 422
        return JSONResponse({"error": f"{place}: {first['msg']}" if place else first["msg"]}, status)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        told = {"Allow": _allowed(app, request)} if error.status_code == 405 else error.headers
        return JSONResponse({"error": str(error.detail)}, error.status_code, told)

    @app.exception_handler(FullError)
    async def full(_: Request, error: FullError) -> Response:
        told = {"Retry-After": str(error.seconds)}
        return JSONResponse({"error": f"too many are waiting already; {error}"}, 503, told)

    @app.exception_handler(EntsembleError)
    async def failed(_: Request, error: EntsembleError) -> Response:
        _LOG.error("%s", error)
        return JSONResponse({"error": NOT_DONE}, 503, {"Retry-After": "30"})


def _allowed(app: FastAPI, request: Request) -> str:
    """The methods of all routes with this path; Starlette itself names those of the first."""
    there = (route for route in app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in there for method in getattr(route, "methods", None) or ()}))


def _add_extraction(app: FastAPI, extraction: Extraction) -> None:
    @app.post(
        "/v1/extract",
        response_model=schemas.ExtractOut,
        tags=["extraction"],
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "JSON, or events where these are accepted."},
            **_WITH_BODY,
            **_refusals(_503="Too many are waiting; see Retry-After.", _504="It took too long."),
        },
    )
    async def extract(
        request: Request, body: schemas.ExtractIn, accept: Annotated[str, Header()] = "application/json"
    ) -> Response:
        """Find the mentions in documents.

        With `Accept: text/event-stream` the answer is a stream of events: `progress`, `document`, `failed`, and at the
        end `done` or `error`. Otherwise it is one JSON object, when all is done.
        """
        wanted = await run_in_threadpool(extraction.wanted, body)
        if "text/event-stream" in accept:
            return EventSourceResponse(extraction.events(wanted))
        found = await extraction.whole(wanted, request)
        return JSONResponse(found.model_dump(mode="json"))


def _add_export(app: FastAPI) -> None:
    @app.post(
        "/v1/export",
        tags=["extraction"],
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}, **_WITH_BODY},
    )
    async def export(
        body: schemas.ExportIn,
        format: Annotated[schemas.ExportFormat, Query()] = "jsonl",  # noqa: A002
    ) -> Response:
        """Documents with their mentions as a file of any format that entsemble writes; brat's as a zip."""
        documents = [_checked(partial(told.document, i)) for i, told in enumerate(body.documents, 1)]
        try:
            content, ending = await asyncio.get_running_loop().run_in_executor(None, _exported, documents, format)
        except DataError as error:
            return JSONResponse({"error": error.problem}, 409)
        except MissingExtraError as error:
            return JSONResponse({"error": str(error)}, 409)
        told = {"Content-Disposition": f'attachment; filename="entities.{ending}"'}
        return Response(content, media_type="application/octet-stream", headers=told)


def _add_pool(app: FastAPI, workbench: Workbench, limits: Limits) -> None:
    pool = workbench.pool
    unknown: Refusals = _refusals(_404="There is no such text.")

    @app.get("/v1/pool", response_model=schemas.PoolOut, tags=["pool"], responses=_refusals(_422="No such part."))
    def listed(
        offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> schemas.PoolOut:
        """The annotated texts that demonstrations come from, in the order in which they came."""
        version, documents = pool.texts()
        shown = [schemas.pooled_out(d) for d in documents[offset : offset + limit]]
        return schemas.PoolOut(total=len(documents), version=version, documents=shown)

    @app.get("/v1/pool/{name:path}", response_model=schemas.PooledOut, tags=["pool"], responses=unknown)
    def one(name: str) -> schemas.PooledOut:
        """One of them."""
        found = next((d for d in pool.texts()[1] if d.id == name), None)
        if found is None:
            raise HTTPException(404, "there is no such text in the pool")
        return schemas.pooled_out(found)

    @app.post(
        "/v1/pool",
        status_code=201,
        response_model=schemas.PoolOut,
        tags=["pool"],
        responses={**_WITH_BODY, **_CHANGES},
    )
    def added(body: schemas.PoolIn) -> schemas.PoolOut:
        """Add annotated texts. One that is there already is corrected, and keeps its id."""
        version, documents = pool.texts()
        if len(documents) + len(body.documents) > limits.pool:
            raise HTTPException(413, f"a pool has at most {limits.pool} texts; delete some")
        wanted = [_checked(told.document) for told in body.documents]
        with _writing():
            kept = pool.add(wanted)
        version, documents = pool.texts()
        shown = [schemas.pooled_out(d) for d in kept]
        return schemas.PoolOut(total=len(documents), version=version, documents=shown)

    @app.put(
        "/v1/pool/{name:path}",
        response_model=schemas.PooledOut,
        tags=["pool"],
        responses={**_WITH_BODY, **_CHANGES, **unknown},
    )
    def corrected(name: str, body: schemas.AnnotatedIn) -> schemas.PooledOut:
        """Put another text or other mentions in the place of one."""
        document = _checked(body.document)
        with _writing():
            return schemas.pooled_out(pool.correct(name, document))

    @app.delete("/v1/pool/{name:path}", status_code=204, tags=["pool"], responses={**_CHANGES, **unknown})
    def deleted(name: str) -> None:
        """Forget one."""
        with _writing():
            pool.delete(name)


def _add_state(app: FastAPI, workbench: Workbench, ready: Readiness, measures: Measures) -> None:
    @app.get("/v1/labels", response_model=schemas.LabelsOut, tags=["state"])
    def labels() -> schemas.LabelsOut:
        """The labels that are asked for where a request names none: the server's, or the pool's."""
        return schemas.LabelsOut(labels=workbench.labels())

    @app.get("/v1/experts", response_model=schemas.ExpertsOut, tags=["state"])
    def experts() -> schemas.ExpertsOut:
        """The experts that may answer where the pool is empty."""
        return schemas.ExpertsOut(experts=[schemas.expert_out(e) for e in workbench.experts()])

    @app.get("/healthz", tags=["state"])
    def alive() -> dict[str, str]:
        """Whether the server lives."""
        return {"status": "alive"}

    @app.get("/readyz", tags=["state"], responses=_refusals(_503="Not yet, or not at all."))
    def is_ready() -> Response:
        """Whether the models are loaded."""
        ready.look()
        if ready.done:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"error": ready.problem or "loading"}, 503, {"Retry-After": "5"})

    @app.get("/metrics", tags=["state"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """Counters, for Prometheus."""
        return Response(generate_latest(measures.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(_STATIC / "index.html")


@contextmanager
def _writing() -> Iterator[None]:
    """What goes wrong with a change of the pool, as a refusal."""
    try:
        yield
    except KeyError as error:
        raise HTTPException(404, "there is no such text in the pool") from error
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    except DataError as error:
        _LOG.error("%s", error)
        raise HTTPException(503, "the pool cannot be written; the server's log says why") from error


def _checked(make: Callable[[], Document]) -> Document:
    try:
        return make()
    except ValueError as error:
        raise HTTPException(409, str(error)) from error


def _exported(documents: list[Document], format: str) -> tuple[bytes, str]:  # noqa: A002
    """The content of a file, and the ending of its name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"entities.{format}"
        write(documents, path, format)
        if path.is_file():
            return path.read_bytes(), format
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(path.iterdir()):
                archive.write(file, file.name)
        return packed.getvalue(), "zip"
