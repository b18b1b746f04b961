"""Limits, access control, and what error responses reveal."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from entsemble.errors import ModelUnavailableError
from entsemble.ner.pipeline import Pipeline

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from fastapi.testclient import TestClient

from entsemble.server.admission import AdmissionQueue, QueueFullError
from entsemble.server.service import ExtractionService

Serve = Callable[..., TestClient]
ANNOTATED = {"text": "Carla left Rome.", "mentions": [{"start": 0, "end": 5, "label": "person"}]}


def request_body(*texts: str, **options: Any) -> dict[str, Any]:
    return {"documents": [{"text": text} for text in texts], "labels": {"person": "", "location": ""}, **options}


class TestLimits:
    def test_size_and_number_of_documents_are_limited(self, serve: Serve) -> None:
        client = serve(body_bytes=300, documents_per_request=1)
        assert client.post("/v1/extract", json=request_body("a " * 500)).status_code == 413
        assert client.post("/v1/extract", json=request_body("a", "b")).status_code == 413

        def chunks() -> Any:
            for _ in range(10):
                yield b" " * 100

        assert client.post("/v1/extract", content=chunks()).status_code == 413

    @pytest.mark.parametrize(
        "body",
        [
            *(b"{", b"[]", b"null", b'{"documents": []}', b'{"documents": [{"text": 1}]}', b"\xff"),
            *(b"1" * 5000, b'{"documents": [{"text": "a"}], "threshold": 1e400}'),
            *(b"[" * 200_000, b'{"documents": [{"text": "a"}], "labels": ' + b'{"a":' * 100_000),
        ],
        ids=range(10),
    )
    def test_malformed_bodies_are_refused_with_a_reason(self, serve: Serve, body: bytes) -> None:
        response = serve().post("/v1/extract", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in {400, 422}
        assert response.json()["error"]

    def test_a_lone_surrogate_is_refused(self, serve: Serve) -> None:
        body = b'{"documents": [{"text": "\\ud800"}], "labels": {"person": ""}}'
        response = serve().post("/v1/extract", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in {400, 422}

    def test_invalid_labels_are_refused(self, serve: Serve) -> None:
        for labels in ({"none": ""}, {"": ""}):
            response = serve().post("/v1/extract", json=request_body("Ann", labels=labels))
            assert response.status_code in {409, 422}
            assert "label" in response.json()["error"]

    def test_requests_beyond_the_queue_are_told_when_to_retry(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = serve(concurrent_requests=1, queued_requests=0)
        started, proceed = threading.Event(), threading.Event()
        run_pipeline = Pipeline.run

        def slow(self: Pipeline, text: str) -> Any:
            started.set()
            proceed.wait(300)
            return run_pipeline(self, text)

        monkeypatch.setattr(Pipeline, "run", slow)
        first = threading.Thread(target=lambda: client.post("/v1/extract", json=request_body("Oslo.")))
        first.start()
        assert started.wait(300)
        response = client.post("/v1/extract", json=request_body("Oslo."))
        assert client.get("/healthz").status_code == 200, "cheap requests are still answered"
        assert "entsemble_running 1.0" in client.get("/metrics").text
        proceed.set()
        first.join()
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert client.post("/v1/extract", json=request_body("Oslo.")).status_code == 200

    @pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
    def test_an_extraction_is_stopped_at_the_deadline(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, accept: str
    ) -> None:
        client = serve(timeout_seconds=0.2)
        sentences: list[str] = []

        def slow(_: Pipeline, text: str) -> Any:
            sentences.append(text)
            time.sleep(0.3)
            raise ModelUnavailableError("never")

        monkeypatch.setattr(Pipeline, "run", slow)
        response = client.post(
            "/v1/extract", json=request_body(*[f"Number {i}." for i in range(100)]), headers={"Accept": accept}
        )
        assert response.status_code == (504 if accept == "application/json" else 200)
        assert "more than 0.2 s" in response.text
        assert len(sentences) < 30, "no further sentence is started"

    def test_responses_do_not_reveal_paths_of_models(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: Pipeline, text: str) -> Any:
            raise ModelUnavailableError("no model file at /home/ann/secret.gguf")

        monkeypatch.setattr(Pipeline, "run", broken)
        with caplog.at_level(logging.ERROR):
            response = serve().post("/v1/extract", json=request_body("Oslo.")).json()
        assert response["documents"] == []
        assert "secret" not in json.dumps(response)
        assert "secret.gguf" in caplog.text


class TestSecurity:
    def test_unexpected_errors_are_logged_and_not_revealed(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: ExtractionService) -> Any:
            raise RuntimeError("at /home/ann/secret")

        monkeypatch.setattr(ExtractionService, "labels", broken)
        with caplog.at_level(logging.ERROR):
            response = serve().get("/v1/labels")
        assert response.status_code == 500
        assert "secret" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "secret" in caplog.text

    def test_a_key_is_required_except_for_the_page_and_health(self, serve: Serve) -> None:
        client = serve(key="s3cret")
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
            response = client.get("/v1/pool", headers=headers)
            assert response.status_code == 401
            assert "s3cret" not in response.text
            assert response.headers["www-authenticate"] == "Bearer"
        assert (
            client.get("/v1/pool", headers={"Authorization": "Bearer s3cret", "Host": "ner.example"}).status_code == 200
        )
        assert client.get("/metrics").status_code == 401
        for path in ("/", "/static/main.js", "/healthz", "/readyz"):
            assert client.get(path).status_code in {200, 503}

    def test_other_hosts_and_origins_are_refused(self, serve: Serve) -> None:
        client = serve()
        assert client.get("/v1/pool", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/v1/pool", headers={"Host": "127.0.0.1:9"}).status_code == 200
        crossed = client.post("/v1/pool", json={"documents": [ANNOTATED]}, headers={"Origin": "https://evil.example"})
        assert crossed.status_code == 403
        same_origin = client.post(
            "/v1/pool", json={"documents": [ANNOTATED]}, headers={"Origin": "http://localhost:8765"}
        )
        assert same_origin.status_code == 201
        assert "access-control-allow-origin" not in same_origin.headers

    @pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"])
    def test_only_files_of_the_page_are_served(self, serve: Serve, path: str) -> None:
        response = serve().get(path)
        assert response.status_code in {404, 405}
        assert "create_app" not in response.text

    def test_405_names_the_allowed_methods(self, serve: Serve) -> None:
        response = serve().patch("/v1/pool")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")

    def test_every_response_has_security_headers(self, serve: Serve) -> None:
        for path in ("/", "/v1/pool", "/nothing"):
            headers = serve().get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"

    def test_the_page_refers_to_no_other_host(self) -> None:
        from entsemble.server import routes

        for file in routes.STATIC_FOLDER.iterdir():
            assert "://" not in file.read_text(encoding="utf-8").replace("http://www.w3.org", "")


def test_the_queue_admits_requests_in_order() -> None:
    async def send_requests() -> tuple[list[int], int]:
        queue, order, refused = AdmissionQueue(1, 2), [], 0

        async def send(number: int) -> None:
            nonlocal refused
            try:
                async with queue.slot(5):
                    order.append(number)
                    await asyncio.sleep(0.01)
            except QueueFullError:
                refused += 1

        await asyncio.gather(*map(send, range(5)))
        assert (queue.running, queue.waiting) == (0, 0)
        return order, refused

    assert asyncio.run(send_requests()) == ([0, 1, 2], 2)
