"""The server as a client sees it, with scripted models."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
from entsemble.errors import ConfigError, DataError

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from fastapi.testclient import TestClient

from entsemble.server.pool_file import PoolFile
from entsemble.server.service import ExtractionService
from entsemble.types import Document, mention_at

Serve = Callable[..., TestClient]
LABELS = {"person": "names of people", "location": ""}
TEXT = "Ann flew to Oslo. Nobody met Bob Lee."
SAID = {"text": "Carla left Rome.", "mentions": [{"start": 0, "end": 5, "label": "person"}]}


@pytest.fixture
def pool(extraction_service: ExtractionService) -> PoolFile:
    return extraction_service.pool


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
        told = client.post("/v1/extract", json={"documents": [{"text": "Ann saw Oslo."}], "threshold": 0.1}).json()
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
            ([{"start": 0, "end": 99, "label": "person"}], "offsets 0 to 99 are outside a text of 16 characters"),
            ([{"start": 3, "end": 3, "label": "person"}], "offsets 3 to 3"),
            ([{"start": 0, "end": 5, "label": "none"}], "cannot be a label"),
            ([{"start": -1, "end": 5, "label": "person"}], "documents.1.mentions.0.start"),
            ([{"start": "0", "end": 5, "label": "person"}], "documents.1.mentions.0.start"),
            ([{"start": 0, "end": 5, "label": " "}], "documents.1.mentions.0.label"),
        ],
    )
    def test_what_cannot_be_right_changes_nothing(self, serve: Serve, mentions: Any, why: str, pool: PoolFile) -> None:
        answer = serve().post("/v1/pool", json={"documents": [SAID, {**SAID, "mentions": mentions}]})
        assert answer.status_code == (422 if "documents" in why else 409)
        assert why in answer.json()["error"]
        assert pool.snapshot() == (0, ())

    def test_it_is_read_again_and_kept_by_one(self, tmp_path: Path, pool_file: Path) -> None:
        pool = PoolFile(pool_file)
        with pytest.raises(ConfigError, match="another server"):
            PoolFile(pool_file)
        assert len(pool.snapshot()[1]) == 10
        pool.delete(pool.snapshot()[1][0].id)
        pool.close()
        assert len(PoolFile(pool_file).snapshot()[1]) == 9
        with pytest.raises(ConfigError, match="JSON Lines"):
            PoolFile(tmp_path / "train.conll")

    def test_what_else_is_known_of_a_text_stays(self, pool_file: Path) -> None:
        pool_file.write_text('{"id": "a", "text": "Ann left.", "tokens": [[0, 3], [4, 9]], "source": "letters 1934"}\n')
        pool = PoolFile(pool_file)
        corrected = Document("x", "Ann left.", (mention_at("Ann left.", 0, 3, "person"),))
        for _ in range(2):
            pool.add([corrected])
            kept = pool.correct("a", corrected)
            assert [kept] == list(read(pool_file))
            assert (kept.meta, [t.start for t in kept.tokens]) == ({"source": "letters 1934"}, [0, 4])
        assert pool.correct("a", Document("x", "Bea left.")).tokens == ()

    def test_what_is_written_beside_it_is_kept(self, pool_file: Path) -> None:
        pool = PoolFile(pool_file)
        with pool_file.open("a") as file:
            file.write('{"id": "beside", "text": "Written by hand."}\n')
        with pytest.raises(KeyError):
            pool.delete("unknown")
        pool.add([Document("x", "Corrected.")])
        assert [d.text for d in read(pool_file)][-2:] == ["Written by hand.", "Corrected."]
        pool_file.write_text("{")
        for _ in range(2):
            with pytest.raises(DataError, match=":1: no JSON"):
                pool.add([Document("x", "Lost.")])
        assert pool_file.read_text() == "{"

    def test_a_full_disk_leaves_it_as_it_was(
        self, serve: Serve, pool: PoolFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = serve()
        client.post("/v1/pool", json={"documents": [SAID]})
        before = pool.path.read_bytes()

        def full(_: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("entsemble._lib.atomic.sync", full)
        answer = client.post("/v1/pool", json={"documents": [{"text": "More.", "mentions": []}]})
        assert (answer.status_code, str(pool.path) in answer.text) == (503, False)
        assert pool.path.read_bytes() == before
        assert client.get("/v1/pool").json()["total"] == 1
        assert [p.name for p in pool.path.parent.iterdir() if "tmp" in p.name] == []

    def test_it_has_an_end(self, serve: Serve) -> None:
        assert serve(pool_documents=0).post("/v1/pool", json={"documents": [SAID]}).status_code == 413


def _becomes_ready(client: TestClient) -> bool:
    end = time.monotonic() + 300
    while client.get("/readyz").status_code != 200 and time.monotonic() < end:
        time.sleep(0.02)
    return bool(client.get("/readyz").status_code == 200)


class TestState:
    def test_it_is_ready_when_the_models_are(self, serve: Serve) -> None:
        client = serve()
        assert _becomes_ready(client)
        assert client.get("/readyz").json() == {"status": "ready"}

    def test_it_says_that_it_cannot_be(
        self, serve: Serve, extraction_service: ExtractionService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: ExtractionService) -> None:
            raise DataError("no", "/home/ann/models")

        with monkeypatch.context() as patched:
            patched.setattr(ExtractionService, "warm_up", broken)
            client = serve(retry_seconds=0.5)
            time.sleep(0.2)
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json()["error"]) == (
                503,
                "the models cannot be loaded; see the server's log",
            )
        assert _becomes_ready(client), "it is tried again"

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
        assert {"/v1/extract", "/v1/export", "/v1/pool", "/v1/pool/{document_id}", "/v1/labels", "/v1/experts"} <= told[
            "paths"
        ].keys()
        assert told["components"]["schemas"]["ExtractIn"]["example"]["documents"]
