"""The HTTP application: middleware, error responses, lifespan. `create_app` is the entry point."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import Match

import entsemble
from entsemble.errors import EntsembleError
from entsemble.review.session import Session
from entsemble.server import routes
from entsemble.server.admission import AdmissionQueue, QueueFullError, stopping_error
from entsemble.server.export import ExportHandler
from entsemble.server.label_studio import add_label_studio
from entsemble.server.learning import PoolLearner
from entsemble.server.limits import Limits, TooLargeError
from entsemble.server.metrics import Metrics, MetricsMiddleware
from entsemble.server.readiness import RETRY_SECONDS, Readiness
from entsemble.server.request_body import UniqueKeysRoute
from entsemble.server.review_routes import Review, add_review
from entsemble.server.review_work import PoolWriter, ReviewExtraction
from entsemble.server.schemas import InvalidMentionError
from entsemble.server.security import SecurityMiddleware
from entsemble.server.service import ExtractionService
from entsemble.server.streaming import NO_ANSWER, ExtractHandler
from entsemble.server.work import WorkThreads

_LOG = logging.getLogger("entsemble.server")


def create_app(
    service: ExtractionService,
    session: Session,
    limits: Limits | None = None,
    key: str | None = None,
    *,
    retry_seconds: float = RETRY_SECONDS,
) -> FastAPI:
    """The server as an ASGI application; `app.state.stop()` cancels all requests in progress.

    Args:
        service: extracts; closed with the application, unless an extraction is still computing then.
        session: the documents that the page reviews.
        limits: what is accepted.
        key: that requests must send; with `None`, none is required, and only requests to localhost are answered.
        retry_seconds: when to try again to load models that could not be loaded.
    """
    limits = limits or Limits()
    queue, exports = (AdmissionQueue(limits.concurrent_requests, limits.queued_requests) for _ in range(2))
    metrics = Metrics(queue)
    threads, export_threads = (WorkThreads(limits.concurrent_requests) for _ in range(2))
    review_threads, learner = WorkThreads(1), PoolLearner(service.can_learn, service.learn)
    review = Review(
        session,
        ReviewExtraction(service, session, review_threads),
        PoolWriter(session, service.pool),
        learner,
        lambda: service.learned_sentences,
        limits,
    )
    service.pool.on_change = service.schedule_learning = learner.schedule
    readiness = Readiness(service, threads, retry_seconds, review.extraction.request)

    def stop() -> None:
        service.stop()
        learner.stop()
        review.extraction.stop()
        for work_queue, work_threads in ((queue, threads), (exports, export_threads)):
            work_queue.close()
            work_threads.interrupt(stopping_error())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        readiness.start_loading()
        review.pool_writer.schedule()  # what an earlier run signed off and could not write any more
        review.extraction.start()
        yield
        stop()
        has_ended = all(await asyncio.gather(*(pool.close() for pool in (threads, export_threads, review_threads))))
        await run_in_threadpool(review.pool_writer.close)
        await run_in_threadpool(learner.close)
        if has_ended:
            service.close()
        app.state.has_abandoned_work = not has_ended

    app = FastAPI(
        title="entsemble",
        version=entsemble.__version__,
        summary="Named entities with your own labels, found by several small language models on your own machine.",
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
        lifespan=lifespan,
        responses=routes.COMMON_PROBLEMS,
    )
    app.router.route_class = UniqueKeysRoute
    app.state.stop, app.state.has_abandoned_work = stop, False
    app.add_middleware(SecurityMiddleware, key=key, limits=limits)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    _add_error_handlers(app)
    extract_handler = ExtractHandler(service, limits, queue, metrics, threads)
    routes.add_extraction(app, extract_handler)
    add_label_studio(app, extract_handler)
    export_handler = ExportHandler(limits, exports, export_threads)
    routes.add_export(app, export_handler)
    add_review(app, review, export_handler)
    routes.add_pool(app, service.pool, limits)
    routes.add_state(app, service, readiness, metrics)
    app.mount("/static", StaticFiles(directory=routes.STATIC_FOLDER), name="static")
    return app


def _add_error_handlers(app: FastAPI) -> None:
    """Make every error response `{"error": reason}`, without paths, addresses or keys."""

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> Response:
        first_error, *_others = error.errors()
        location = ".".join(str(part) for part in first_error["loc"] if part != "body")
        status = 400 if first_error["type"] == "json_invalid" else 422
        message = first_error["msg"]
        return JSONResponse({"error": f"{location}: {message}" if location else message}, status)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        headers = {"Allow": _allowed_methods(app, request)} if error.status_code == 405 else error.headers
        return JSONResponse({"error": str(error.detail)}, error.status_code, headers)

    @app.exception_handler(QueueFullError)
    async def queue_full(_: Request, error: QueueFullError) -> Response:
        return JSONResponse({"error": str(error)}, 503, {"Retry-After": str(error.retry_seconds)})

    @app.exception_handler(TooLargeError)
    async def too_large(_: Request, error: TooLargeError) -> Response:
        return JSONResponse({"error": str(error)}, 413)

    @app.exception_handler(InvalidMentionError)
    async def invalid_mention(_: Request, error: InvalidMentionError) -> Response:
        return JSONResponse({"error": str(error)}, 409)

    @app.exception_handler(EntsembleError)
    async def extraction_failed(_: Request, error: EntsembleError) -> Response:
        _LOG.error("%s", error)
        return JSONResponse({"error": NO_ANSWER}, 503, {"Retry-After": "30"})


def _allowed_methods(app: FastAPI, request: Request) -> str:
    """The methods of all routes with this path; Starlette itself gives only those of the first one."""
    matching = (route for route in app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in matching for method in getattr(route, "methods", None) or ()}))
