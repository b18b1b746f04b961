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
ANNOTATED = {"text": "Carla left Rome.", "mentions": [{"start": 0, "end": 5, "label": "person"}]}


@pytest.fixture
def pool(extraction_service: ExtractionService) -> PoolFile:
    return extraction_service.pool


def request_body(*texts: str, **options: Any) -> dict[str, Any]:
    return {"documents": [{"text": text} for text in texts], "labels": LABELS, **options}


@pytest.mark.parametrize(
    "path", ["/v1/extract", "/v1/pool", "/v1/export?format=jsonl", "/v1/review/documents", "/predict"]
)
def test_a_key_that_an_object_has_twice_is_refused(serve: Serve, path: str) -> None:
    content = '{"documents": [{"text": "Ann left.", "text": "Bob left."}], "labels": {"person": ""}}'
    answer = serve().post(path, content=content, headers={"Content-Type": "application/json"})
    reason = "the key 'text' occurs twice in one object; keep one of them, or rename the other"
    assert (answer.status_code, answer.json()) == (400, {"error": reason})


def parse_events(body: str) -> list[tuple[str, Any]]:
    parts = [
        dict(line.split(": ", 1) for line in part.splitlines()) for part in body.replace("\r", "").split("\n\n") if part
    ]
    return [(part["event"], json.loads(part["data"])) for part in parts if "event" in part]


class TestExtraction:
    def test_the_response_has_mentions_votes_sentences_and_ledger(self, serve: Serve) -> None:
        response = serve().post("/v1/extract", json=request_body(TEXT, "")).json()
        first, empty = response["documents"]
        assert [(m["start"], m["end"], m["text"], m["label"]) for m in first["mentions"]] == [
            (0, 3, "Ann", "person"),
            (12, 16, "Oslo", "location"),
            (29, 36, "Bob Lee", "person"),
        ]
        assert first["mentions"][0]["votes"] == {"smollm2-135m": "person", "gemma-3-270m": "person"}
        assert 0 < first["mentions"][0]["score"] <= 1
        assert first["sentences"] == [[0, 17], [18, 37]]
        accepted = [entry for entry in first["ledger"] if entry["fate"] == "kept"]
        assert accepted[0]["members"] == ["smollm2-135m", "gemma-3-270m"]
        assert (empty["text"], empty["mentions"]) == ("", [])
        assert response["failed"] == []

    def test_results_are_streamed_as_events(self, serve: Serve) -> None:
        response = serve().post(
            "/v1/extract", json=request_body(TEXT, "Oslo."), headers={"Accept": "text/event-stream"}
        )
        assert response.headers["content-type"].startswith("text/event-stream")
        streamed = parse_events(response.text)
        assert [name for name, _ in streamed if name != "progress"] == ["document", "document", "done"]
        assert [data for name, data in streamed if name == "progress"][-1] == {"done": 3, "sentences": 3}

    def test_pool_documents_are_used_as_demonstrations_at_once(self, serve: Serve) -> None:
        client = serve()
        before = client.post("/v1/extract", json=request_body("Carla went to Oslo.")).json()["documents"][0]
        assert before["demonstrations"] == [[]]
        stored = client.post("/v1/pool", json={"documents": [ANNOTATED]}).json()["documents"][0]
        after = client.post("/v1/extract", json=request_body("Carla went to Oslo.")).json()["documents"][0]
        assert after["demonstrations"] == [[stored["id"]]]
        other = client.post("/v1/extract", json=request_body("Carla went to Oslo.", labels={"location": ""})).json()
        assert other["documents"][0]["demonstrations"] == [[]], "it has no mention with these labels"

    def test_offsets_count_code_points(self, serve: Serve) -> None:
        [mention] = serve().post("/v1/extract", json=request_body("🛶🛶 Oslo")).json()["documents"][0]["mentions"]
        assert (mention["start"], mention["end"]) == (3, 7)

    def test_the_servers_labels_are_the_default(self, serve: Serve) -> None:
        client = serve()
        assert client.post("/v1/extract", json={"documents": [{"text": "Oslo"}]}).status_code == 409
        client.post("/v1/pool", json={"documents": [ANNOTATED]})
        assert client.get("/v1/labels").json() == {"labels": {"person": ""}}
        response = client.post("/v1/extract", json={"documents": [{"text": "Ann saw Oslo."}], "threshold": 0.1}).json()
        assert {m["label"] for m in response["documents"][0]["mentions"]} == {"person"}

    def test_a_threshold_rejects_mentions(self, serve: Serve) -> None:
        response = serve().post("/v1/extract", json=request_body("Oslo.", threshold=1.0, nested=True)).json()
        assert response["documents"][0]["mentions"] == []
        assert response["documents"][0]["ledger"][0]["fate"] == "below the threshold"

    @pytest.mark.parametrize("format_", ["conll", "csv", "html", "json", "jsonl", "parquet", "brat", "tsv"])
    def test_export_writes_each_format(self, serve: Serve, format_: str, tmp_path: Path) -> None:
        if format_ == "parquet":
            pytest.importorskip("pyarrow")
        body = {"documents": [{"id": "d", **ANNOTATED}]}
        response = serve().post(f"/v1/export?format={format_}", json=body)
        assert response.status_code == 200
        if format_ == "brat":
            with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
                archive.extractall(tmp_path / "out")
            path = tmp_path / "out"
        else:
            path = tmp_path / f"out.{format_}"
            path.write_bytes(response.content)
        if format_ in {"csv", "tsv"}:
            assert "Carla" in response.content.decode("utf-8-sig").splitlines()[1]
        elif format_ != "html":
            [exported] = read(path)
            assert [(m.text, m.label) for m in exported.mentions] == [("Carla", "person")]

    @pytest.mark.filterwarnings("ignore::entsemble.errors.EntsembleWarning")  # the mention splits a word
    def test_export_does_not_reveal_paths_of_the_server(self, serve: Serve) -> None:
        nested = [{"start": 0, "end": 5, "label": "person"}, {"start": 0, "end": 3, "label": "car"}]
        response = serve().post("/v1/export?format=conll", json={"documents": [{"text": "Carla", "mentions": nested}]})
        assert response.status_code in {200, 409}
        assert str(Path("/tmp")) not in response.text


class TestPool:
    def test_documents_are_added_corrected_and_deleted(self, serve: Serve, pool: PoolFile) -> None:
        client = serve()
        added = client.post("/v1/pool", json={"documents": [ANNOTATED]})
        assert added.status_code == 201
        [stored] = added.json()["documents"]
        place = [{"start": 11, "end": 15, "label": "location"}]
        again = client.post("/v1/pool", json={"documents": [{"text": " Carla  left Rome.", "mentions": []}]}).json()
        assert [d["id"] for d in again["documents"]] == [stored["id"]], "the same text is corrected"
        changed = client.put(f"/v1/pool/{stored['id']}", json={**ANNOTATED, "mentions": place}).json()
        assert [m["text"] for m in changed["mentions"]] == ["Rome"]
        assert client.get(f"/v1/pool/{stored['id']}").json() == changed
        assert [(d.text, d.mentions[0].label) for d in read(pool.path)] == [("Carla left Rome.", "location")]
        assert client.get("/v1/pool").json() == {"total": 1, "version": 3, "documents": [changed]}
        assert client.delete(f"/v1/pool/{stored['id']}").status_code == 204
        assert client.get("/v1/pool").json()["documents"] == []
        for method in (client.get, client.delete):
            assert method(f"/v1/pool/{stored['id']}").status_code == 404
        assert client.put(f"/v1/pool/{stored['id']}", json=ANNOTATED).status_code == 404

    @pytest.mark.parametrize(
        ("mentions", "reason"),
        [
            ([{"start": 0, "end": 99, "label": "person"}], "offsets 0 to 99 are outside a text of 16 characters"),
            ([{"start": 3, "end": 3, "label": "person"}], "offsets 3 to 3"),
            ([{"start": 0, "end": 5, "label": "none"}], "cannot be a label"),
            ([{"start": -1, "end": 5, "label": "person"}], "documents.1.mentions.0.start"),
            ([{"start": "0", "end": 5, "label": "person"}], "documents.1.mentions.0.start"),
            ([{"start": 0, "end": 5, "label": " "}], "documents.1.mentions.0.label"),
        ],
    )
    def test_invalid_mentions_are_refused_and_change_nothing(
        self, serve: Serve, mentions: Any, reason: str, pool: PoolFile
    ) -> None:
        response = serve().post("/v1/pool", json={"documents": [ANNOTATED, {**ANNOTATED, "mentions": mentions}]})
        assert response.status_code == (422 if "documents" in reason else 409)
        assert reason in response.json()["error"]
        assert pool.snapshot() == (0, ())

    def test_a_pool_file_belongs_to_one_server(self, tmp_path: Path, pool_file: Path) -> None:
        pool = PoolFile(pool_file)
        with pytest.raises(ConfigError, match="another server"):
            PoolFile(pool_file)
        assert len(pool.snapshot()[1]) == 10
        pool.delete(pool.snapshot()[1][0].id)
        pool.close()
        assert len(PoolFile(pool_file).snapshot()[1]) == 9
        with pytest.raises(ConfigError, match="JSON Lines"):
            PoolFile(tmp_path / "train.conll")

    def test_a_correction_keeps_tokens_and_meta(self, pool_file: Path) -> None:
        pool_file.write_text('{"id": "a", "text": "Ann left.", "tokens": [[0, 3], [4, 9]], "source": "letters 1934"}\n')
        pool = PoolFile(pool_file)
        corrected = Document("x", "Ann left.", (mention_at("Ann left.", 0, 3, "person"),))
        for _ in range(2):
            pool.add([corrected])
            stored = pool.correct("a", corrected)
            assert [stored] == list(read(pool_file))
            assert (stored.meta, [token.start for token in stored.tokens]) == ({"source": "letters 1934"}, [0, 4])
        assert pool.correct("a", Document("x", "Bea left.")).tokens == ()

    def test_edits_by_other_programs_are_kept(self, pool_file: Path) -> None:
        pool = PoolFile(pool_file)
        with pool_file.open("a") as file:
            file.write('{"id": "manual", "text": "Written by hand."}\n')
        with pytest.raises(KeyError):
            pool.delete("unknown")
        pool.add([Document("x", "Corrected.")])
        assert [d.text for d in read(pool_file)][-2:] == ["Written by hand.", "Corrected."]
        pool_file.write_text("{")
        for _ in range(2):
            with pytest.raises(DataError, match=":1: not valid JSON"):
                pool.add([Document("x", "Lost.")])
        assert pool_file.read_text() == "{"

    def test_a_full_disk_leaves_the_pool_unchanged(
        self, serve: Serve, pool: PoolFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = serve()
        client.post("/v1/pool", json={"documents": [ANNOTATED]})
        before = pool.path.read_bytes()

        def full(_: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("entsemble._lib.atomic.sync", full)
        response = client.post("/v1/pool", json={"documents": [{"text": "More.", "mentions": []}]})
        assert (response.status_code, str(pool.path) in response.text) == (503, False)
        assert pool.path.read_bytes() == before
        assert client.get("/v1/pool").json()["total"] == 1
        assert [p.name for p in pool.path.parent.iterdir() if "tmp" in p.name] == []

    def test_a_pool_has_a_maximum_size(self, serve: Serve) -> None:
        assert serve(pool_documents=0).post("/v1/pool", json={"documents": [ANNOTATED]}).status_code == 413


def becomes_ready(client: TestClient) -> bool:
    end = time.monotonic() + 300
    while client.get("/readyz").status_code != 200 and time.monotonic() < end:
        time.sleep(0.02)
    return bool(client.get("/readyz").status_code == 200)


class TestState:
    def test_the_server_is_ready_once_models_are_loaded(self, serve: Serve) -> None:
        client = serve()
        assert becomes_ready(client)
        assert client.get("/readyz").json() == {"status": "ready"}

    def test_loading_is_retried_after_a_failure(
        self, serve: Serve, extraction_service: ExtractionService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: ExtractionService) -> None:
            raise DataError("no", "/home/ann/models")

        with monkeypatch.context() as patched:
            patched.setattr(ExtractionService, "warm_up", broken)
            client = serve(retry_seconds=0.5)
            time.sleep(0.2)
            response = client.get("/readyz")
            assert (response.status_code, response.json()["error"]) == (
                503,
                "the models cannot be loaded; see the server's log",
            )
        assert becomes_ready(client), "loading is retried"

    def test_experts_and_metrics(self, serve: Serve) -> None:
        client = serve()
        assert "politics" in [e["name"] for e in client.get("/v1/experts").json()["experts"]]
        client.post("/v1/extract", json=request_body(TEXT))
        client.get("/no/such/path")
        metrics = client.get("/metrics").text
        assert "entsemble_mentions_total 3.0" in metrics
        assert 'entsemble_requests_total{method="POST",path="/v1/extract",status="200"} 1.0' in metrics
        assert 'path="other",status="404"' in metrics
        assert "Oslo" not in metrics

    def test_the_openapi_description_has_routes_and_examples(self, serve: Serve) -> None:
        description = serve().get("/openapi.json").json()
        assert {
            "/v1/extract",
            "/v1/export",
            "/v1/pool",
            "/v1/pool/{document_id}",
            "/v1/labels",
            "/v1/experts",
        } <= description["paths"].keys()
        assert description["components"]["schemas"]["ExtractIn"]["example"]["documents"]
