"""The server as a client sees it, with scripted models."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
from entsemble.ensemble.pipeline import Pipeline
from entsemble.errors import ConfigError, DataError, ModelUnavailableError
from entsemble.settings import environment, load

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from fastapi.testclient import TestClient

from entsemble.server.app import create_app
from entsemble.server.guards import Limits
from entsemble.server.pool_file import PoolFile
from entsemble.server.turnstile import FullError, Turnstile
from entsemble.server.workbench import Workbench

Serve = Callable[..., TestClient]
LABELS = {"person": "names of people", "location": ""}
TEXT = "Ann flew to Oslo. Nobody met Bob Lee."
SAID = {"text": "Carla left Rome.", "mentions": [{"start": 0, "end": 5, "label": "person"}]}


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[PoolFile]:
    made = PoolFile(tmp_path / "kept" / "pool.jsonl")
    yield made
    made.close()


@pytest.fixture
def workbench(pool: PoolFile, scripted: None, plain_members: None) -> Workbench:
    def settings(said: Any) -> Any:
        return load(overrides={"cache": {"replies": False}, **said})

    return Workbench(settings, environment(), pool)


@pytest.fixture
def serve(workbench: Workbench) -> Iterator[Serve]:
    """Starts a server and gives what asks it."""
    with ExitStack() as stack:

        def start(key: str | None = None, **limits: Any) -> TestClient:
            app = create_app(workbench, Limits(**limits), key)
            client: TestClient = stack.enter_context(TestClient(app, base_url="http://localhost:8765"))
            return client

        yield start


def asked(*texts: str, **more: Any) -> dict[str, Any]:
    return {"documents": [{"text": text} for text in texts], "labels": LABELS, **more}


def events(body: str) -> list[tuple[str, Any]]:
    parts = [
        dict(line.split(": ", 1) for line in part.splitlines()) for part in body.replace("\r", "").split("\n\n") if part
    ]
    return [(part["event"], json.loads(part["data"])) for part in parts if "event" in part]


class TestExtraction:
    def test_mentions_with_votes_and_what_became_of_the_rest(self, serve: Serve) -> None:
        told = serve().post("/v1/extract", json=asked(TEXT, "")).json()
        first, empty = told["documents"]
        assert [(m["start"], m["end"], m["text"], m["label"]) for m in first["mentions"]] == [
            (0, 3, "Ann", "person"),
            (12, 16, "Oslo", "location"),
            (29, 36, "Bob Lee", "person"),
        ]
        assert first["mentions"][0]["votes"] == {"smollm2-135m": "person", "gemma-3-270m": "person"}
        assert 0 < first["mentions"][0]["score"] <= 1
        assert first["sentences"] == [[0, 17], [18, 37]]
        kept = [e for e in first["ledger"] if e["fate"] == "kept"]
        assert kept[0]["members"] == ["smollm2-135m", "gemma-3-270m"]
        assert (empty["text"], empty["mentions"]) == ("", [])
        assert told["failed"] == []

    def test_events_as_they_come(self, serve: Serve) -> None:
        answer = serve().post("/v1/extract", json=asked(TEXT, "Oslo."), headers={"Accept": "text/event-stream"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = events(answer.text)
        assert [name for name, _ in found if name != "progress"] == ["document", "document", "done"]
        assert [data for name, data in found if name == "progress"][-1] == {"done": 3, "sentences": 3}

    def test_a_pool_is_shown_as_soon_as_it_holds_something(self, serve: Serve) -> None:
        client = serve()
        before = client.post("/v1/extract", json=asked("Carla went to Oslo.")).json()["documents"][0]
        assert before["demonstrations"] == [[]]
        kept = client.post("/v1/pool", json={"documents": [SAID]}).json()["documents"][0]
        after = client.post("/v1/extract", json=asked("Carla went to Oslo.")).json()["documents"][0]
        assert after["demonstrations"] == [[kept["id"]]]
        other = client.post("/v1/extract", json=asked("Carla went to Oslo.", labels={"location": ""})).json()
        assert other["documents"][0]["demonstrations"] == [[]], "it holds no mention of these labels"

    def test_offsets_count_code_points(self, serve: Serve) -> None:
        [found] = serve().post("/v1/extract", json=asked("🛶🛶 Oslo")).json()["documents"][0]["mentions"]
        assert (found["start"], found["end"]) == (3, 7)

    def test_labels_of_the_server_where_none_are_named(self, serve: Serve) -> None:
        client = serve()
        assert client.post("/v1/extract", json={"documents": [{"text": "Oslo"}]}).status_code == 409
        client.post("/v1/pool", json={"documents": [SAID]})
        assert client.get("/v1/labels").json() == {"labels": {"person": ""}}
        told = client.post("/v1/extract", json={"documents": [{"text": "Ann saw Oslo."}]}).json()
        assert {m["label"] for m in told["documents"][0]["mentions"]} == {"person"}

    def test_a_threshold_and_nested_mentions(self, serve: Serve) -> None:
        told = serve().post("/v1/extract", json=asked("Oslo.", threshold=1.0, nested=True)).json()
        assert told["documents"][0]["mentions"] == []
        assert told["documents"][0]["ledger"][0]["fate"] == "below the threshold"

    @pytest.mark.parametrize("format_", ["conll", "html", "json", "jsonl", "parquet", "brat"])
    def test_export(self, serve: Serve, format_: str, tmp_path: Path) -> None:
        if format_ == "parquet":
            pytest.importorskip("pyarrow")
        told = {"documents": [{"id": "d", **SAID}]}
        answer = serve().post(f"/v1/export?format={format_}", json=told)
        assert answer.status_code == 200
        if format_ == "brat":
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                archive.extractall(tmp_path / "out")
            path = tmp_path / "out"
        else:
            path = tmp_path / f"out.{format_}"
            path.write_bytes(answer.content)
        if format_ != "html":
            [back] = read(path)
            assert [(m.text, m.label) for m in back.mentions] == [("Carla", "person")]

    def test_export_says_what_a_format_cannot_hold(self, serve: Serve) -> None:
        nested = [{"start": 0, "end": 5, "label": "person"}, {"start": 0, "end": 3, "label": "car"}]
        answer = serve().post("/v1/export?format=conll", json={"documents": [{"text": "Carla", "mentions": nested}]})
        assert answer.status_code in {200, 409}
        assert str(Path("/tmp")) not in answer.text


class TestPool:
    def test_it_is_added_to_corrected_and_deleted_from(self, serve: Serve, pool: PoolFile) -> None:
        client = serve()
        added = client.post("/v1/pool", json={"documents": [SAID]})
        assert added.status_code == 201
        [kept] = added.json()["documents"]
        place = [{"start": 11, "end": 15, "label": "location"}]
        again = client.post("/v1/pool", json={"documents": [{"text": " Carla  left Rome.", "mentions": []}]}).json()
        assert [d["id"] for d in again["documents"]] == [kept["id"]], "the same text is corrected"
        changed = client.put(f"/v1/pool/{kept['id']}", json={**SAID, "mentions": place}).json()
        assert [m["text"] for m in changed["mentions"]] == ["Rome"]
        assert client.get(f"/v1/pool/{kept['id']}").json() == changed
        assert [(d.text, d.mentions[0].label) for d in read(pool.path)] == [("Carla left Rome.", "location")]
        assert client.get("/v1/pool").json() == {"total": 1, "version": 3, "documents": [changed]}
        assert client.delete(f"/v1/pool/{kept['id']}").status_code == 204
        assert client.get("/v1/pool").json()["documents"] == []
        for ask in (client.get, client.delete):
            assert ask(f"/v1/pool/{kept['id']}").status_code == 404
        assert client.put(f"/v1/pool/{kept['id']}", json=SAID).status_code == 404

    @pytest.mark.parametrize(
        ("mentions", "why"),
        [
            ([{"start": 0, "end": 99, "label": "person"}], "no characters 0 to 99 in a text of 16"),
            ([{"start": 3, "end": 3, "label": "person"}], "no characters 3 to 3"),
            ([{"start": 0, "end": 5, "label": "none"}], "no label can be called so"),
            ([{"start": -1, "end": 5, "label": "person"}], "documents.1.mentions.0.start"),
            ([{"start": "0", "end": 5, "label": "person"}], "documents.1.mentions.0.start"),
            ([{"start": 0, "end": 5, "label": " "}], "documents.1.mentions.0.label"),
        ],
    )
    def test_what_cannot_be_right_changes_nothing(self, serve: Serve, mentions: Any, why: str, pool: PoolFile) -> None:
        answer = serve().post("/v1/pool", json={"documents": [SAID, {**SAID, "mentions": mentions}]})
        assert answer.status_code == (422 if "documents" in why else 409)
        assert why in answer.json()["error"]
        assert pool.texts() == (0, ())

    def test_it_is_read_again_and_kept_by_one(self, tmp_path: Path, pool_file: Path) -> None:
        pool = PoolFile(pool_file)
        with pytest.raises(ConfigError, match="another server"):
            PoolFile(pool_file)
        assert len(pool.texts()[1]) == 10
        pool.delete(pool.texts()[1][0].id)
        pool.close()
        assert len(PoolFile(pool_file).texts()[1]) == 9
        with pytest.raises(ConfigError, match="JSON Lines"):
            PoolFile(tmp_path / "train.conll")

    def test_a_full_disk_leaves_it_as_it_was(
        self, serve: Serve, pool: PoolFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = serve()
        client.post("/v1/pool", json={"documents": [SAID]})
        before = pool.path.read_bytes()

        def full(_: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("entsemble.server.pool_file.sync", full)
        answer = client.post("/v1/pool", json={"documents": [{"text": "More.", "mentions": []}]})
        assert (answer.status_code, str(pool.path) in answer.text) == (503, False)
        assert pool.path.read_bytes() == before
        assert client.get("/v1/pool").json()["total"] == 1
        assert [p.name for p in pool.path.parent.iterdir() if "tmp" in p.name] == []

    def test_it_has_an_end(self, serve: Serve) -> None:
        assert serve(pool=0).post("/v1/pool", json={"documents": [SAID]}).status_code == 413


class TestLimits:
    def test_size_and_number(self, serve: Serve) -> None:
        client = serve(body=300, documents=1)
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
        client = serve(running=1, waiting=0)
        going, go_on = threading.Event(), threading.Event()
        run = Pipeline.run

        def slow(self: Pipeline, text: str) -> Any:
            going.set()
            go_on.wait(20)
            return run(self, text)

        monkeypatch.setattr(Pipeline, "run", slow)
        first = threading.Thread(target=lambda: client.post("/v1/extract", json=asked("Oslo.")))
        first.start()
        assert going.wait(10)
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
        client = serve(seconds=0.2)
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
        from entsemble.server import app

        for file in app._STATIC.iterdir():
            assert "://" not in file.read_text(encoding="utf-8").replace("http://www.w3.org", "")


class TestState:
    def test_it_is_ready_when_the_models_are(self, serve: Serve) -> None:
        client = serve()
        end = time.monotonic() + 10
        while client.get("/readyz").status_code != 200 and time.monotonic() < end:
            time.sleep(0.02)
        assert client.get("/readyz").json() == {"status": "ready"}

    def test_it_says_that_it_cannot_be(
        self, serve: Serve, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: Workbench) -> None:
            raise DataError("no", "/home/ann/models")

        monkeypatch.setattr(Workbench, "warm", broken)
        client = serve()
        time.sleep(0.2)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["error"]) == (
            503,
            "the models cannot be loaded; the server's log says why",
        )

    def test_experts_and_counters(self, serve: Serve) -> None:
        client = serve()
        assert "politics" in [e["name"] for e in client.get("/v1/experts").json()["experts"]]
        client.post("/v1/extract", json=asked(TEXT))
        client.get("/unheard/of")
        told = client.get("/metrics").text
        assert "entsemble_mentions_total 3.0" in told
        assert 'entsemble_requests_total{method="POST",path="/v1/extract",status="200"} 1.0' in told
        assert 'path="other",status="404"' in told
        assert "Oslo" not in told

    def test_the_description_has_every_route_and_examples(self, serve: Serve) -> None:
        told = serve().get("/openapi.json").json()
        assert {"/v1/extract", "/v1/export", "/v1/pool", "/v1/pool/{name}", "/v1/labels", "/v1/experts"} <= told[
            "paths"
        ].keys()
        assert told["components"]["schemas"]["ExtractIn"]["example"]["documents"]


def test_a_turnstile_lets_through_in_turn() -> None:
    async def crowd() -> tuple[list[int], int]:
        turnstile, order, refused = Turnstile(1, 2), [], 0

        async def one(number: int) -> None:
            nonlocal refused
            try:
                async with turnstile.passed(5):
                    order.append(number)
                    await asyncio.sleep(0.01)
            except FullError:
                refused += 1

        await asyncio.gather(*map(one, range(5)))
        assert (turnstile.running, turnstile.waiting) == (0, 0)
        return order, refused

    assert asyncio.run(crowd()) == ([0, 1, 2], 2)
