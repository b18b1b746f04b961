"""What the server does not take on, and whom it does not answer."""

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
SAID = {"text": "Carla left Rome.", "mentions": [{"start": 0, "end": 5, "label": "person"}]}


def asked(*texts: str, **more: Any) -> dict[str, Any]:
    return {"documents": [{"text": text} for text in texts], "labels": {"person": "", "location": ""}, **more}


class TestLimits:
    def test_size_and_number(self, serve: Serve) -> None:
        client = serve(body_bytes=300, documents_per_request=1)
        assert client.post("/v1/extract", json=asked("a " * 500)).status_code == 413
        assert client.post("/v1/extract", json=asked("a", "b")).status_code == 413

        def pieces() -> Any:
            for _ in range(10):
                yield b" " * 100

        assert client.post("/v1/extract", content=pieces()).status_code == 413

    @pytest.mark.parametrize(
        "body", [b"{", b"[]", b"null", b'{"documents": []}', b'{"documents": [{"text": 1}]}', b"\xff"]
    )
    def test_malformed_bodies(self, serve: Serve, body: bytes) -> None:
        answer = serve().post("/v1/extract", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}
        assert answer.json()["error"]

    def test_half_of_a_character(self, serve: Serve) -> None:
        body = b'{"documents": [{"text": "\\ud800"}], "labels": {"person": ""}}'
        answer = serve().post("/v1/extract", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}

    def test_labels_that_cannot_be_asked_for(self, serve: Serve) -> None:
        for labels in ({"none": ""}, {"": ""}):
            answer = serve().post("/v1/extract", json=asked("Ann", labels=labels))
            assert answer.status_code in {409, 422}
            assert "label" in answer.json()["error"]

    def test_what_is_too_much_at_once_is_refused_with_a_time(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = serve(concurrent_requests=1, queued_requests=0)
        going, go_on = threading.Event(), threading.Event()
        run = Pipeline.run

        def slow(self: Pipeline, text: str) -> Any:
            going.set()
            go_on.wait(300)
            return run(self, text)

        monkeypatch.setattr(Pipeline, "run", slow)
        first = threading.Thread(target=lambda: client.post("/v1/extract", json=asked("Oslo.")))
        first.start()
        assert going.wait(300)
        answer = client.post("/v1/extract", json=asked("Oslo."))
        assert client.get("/healthz").status_code == 200, "it still answers what is cheap"
        assert "entsemble_running 1.0" in client.get("/metrics").text
        go_on.set()
        first.join()
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert client.post("/v1/extract", json=asked("Oslo.")).status_code == 200

    @pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
    def test_what_takes_too_long_is_stopped(self, serve: Serve, monkeypatch: pytest.MonkeyPatch, accept: str) -> None:
        client = serve(timeout_seconds=0.2)
        begun: list[str] = []

        def slow(_: Pipeline, text: str) -> Any:
            begun.append(text)
            time.sleep(0.3)
            raise ModelUnavailableError("never")

        monkeypatch.setattr(Pipeline, "run", slow)
        answer = client.post(
            "/v1/extract", json=asked(*[f"Number {i}." for i in range(100)]), headers={"Accept": accept}
        )
        assert answer.status_code == (504 if accept == "application/json" else 200)
        assert "more than 0.2 s" in answer.text
        assert len(begun) < 30, "nothing more is begun"

    def test_models_that_fail_are_no_secret_but_their_places_are(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: Pipeline, text: str) -> Any:
            raise ModelUnavailableError("no model file at /home/ann/secret.gguf")

        monkeypatch.setattr(Pipeline, "run", broken)
        with caplog.at_level(logging.ERROR):
            told = serve().post("/v1/extract", json=asked("Oslo.")).json()
        assert told["documents"] == []
        assert "secret" not in json.dumps(told)
        assert "secret.gguf" in caplog.text


class TestSecurity:
    def test_what_nobody_foresaw_is_no_secret_told(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: ExtractionService) -> Any:
            raise RuntimeError("at /home/ann/secret")

        monkeypatch.setattr(ExtractionService, "labels", broken)
        with caplog.at_level(logging.ERROR):
            answer = serve().get("/v1/labels")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "secret" in caplog.text

    def test_a_key(self, serve: Serve) -> None:
        client = serve(key="s3cret")
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
            answer = client.get("/v1/pool", headers=headers)
            assert answer.status_code == 401
            assert "s3cret" not in answer.text
            assert answer.headers["www-authenticate"] == "Bearer"
        assert (
            client.get("/v1/pool", headers={"Authorization": "Bearer s3cret", "Host": "ner.example"}).status_code == 200
        )
        assert client.get("/metrics").status_code == 401
        for path in ("/", "/static/page.js", "/healthz", "/readyz"):
            assert client.get(path).status_code in {200, 503}

    def test_other_sites_are_not_answered(self, serve: Serve) -> None:
        client = serve()
        assert client.get("/v1/pool", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/v1/pool", headers={"Host": "127.0.0.1:9"}).status_code == 200
        crossed = client.post("/v1/pool", json={"documents": [SAID]}, headers={"Origin": "https://evil.example"})
        assert crossed.status_code == 403
        own = client.post("/v1/pool", json={"documents": [SAID]}, headers={"Origin": "http://localhost:8765"})
        assert own.status_code == 201
        assert "access-control-allow-origin" not in own.headers

    @pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"])
    def test_nothing_beside_the_page_can_be_had(self, serve: Serve, path: str) -> None:
        answer = serve().get(path)
        assert answer.status_code in {404, 405}
        assert "create_app" not in answer.text

    def test_methods(self, serve: Serve) -> None:
        answer = serve().patch("/v1/pool")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")

    def test_headers(self, serve: Serve) -> None:
        for path in ("/", "/v1/pool", "/nothing"):
            headers = serve().get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"

    def test_the_page_asks_no_other_host(self) -> None:
        from entsemble.server import routes

        for file in routes.STATIC_FOLDER.iterdir():
            assert "://" not in file.read_text(encoding="utf-8").replace("http://www.w3.org", "")


def test_a_queue_lets_through_in_turn() -> None:
    async def crowd() -> tuple[list[int], int]:
        queue, order, refused = AdmissionQueue(1, 2), [], 0

        async def one(number: int) -> None:
            nonlocal refused
            try:
                async with queue.slot(5):
                    order.append(number)
                    await asyncio.sleep(0.01)
            except QueueFullError:
                refused += 1

        await asyncio.gather(*map(one, range(5)))
        assert (queue.running, queue.waiting) == (0, 0)
        return order, refused

    assert asyncio.run(crowd()) == ([0, 1, 2], 2)
