"""The routes of a review: documents that are added and extracted, edits, the pool, and files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from entsemble.errors import ModelUnavailableError
from tests.factories import document

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

TEXT = "Ann flew to Oslo. Bob Lee met Ann in Bergen."


def changes(client: Any, **parameters: Any) -> Any:
    return client.get("/v1/review/changes", params=parameters).json()


def edit(client: Any, action: str, **values: Any) -> Any:
    return client.post("/v1/review/edits", json={"edit": {"action": action, **values}, "open": 1})


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def extracted(client: Any) -> list[dict[str, Any]]:
    def finished() -> Any:
        view = changes(client)
        waits = view["work"] or any(row["extraction"] == "waiting" for row in view["documents"])
        return None if waits else view["documents"]

    rows: list[dict[str, Any]] = wait_until(finished)
    return rows


def test_texts_are_extracted_sentence_by_sentence_in_the_background(serve: Any) -> None:
    client = serve()
    response = client.post("/v1/review/documents", json={"documents": [{"text": TEXT}]})
    assert (response.status_code, response.json()) == (201, {"added": [1], "known": 0})
    [row] = extracted(client)
    assert (row["name"], row["mentions"], row["extracted"], row["state"]) == (
        "Ann flew to Oslo. Bob Lee met Ann in …",
        5,
        2,
        "new",
    )
    sentences = client.get("/v1/review/documents/1").json()["sentences"]
    [ann, oslo] = sentences[0]["spans"]
    assert (TEXT[oslo["start"] : oslo["end"]], oslo["label"], oslo["status"]) == ("Oslo", "location", "proposed")
    assert set(oslo["facts"]) >= {"votes", "members", "fate"}
    assert ann["score"] > 0.4


def test_an_edit_answers_with_what_changed_and_what_is_signed_off_goes_to_the_pool(
    serve: Any, extraction_service: Any
) -> None:
    client = serve()
    client.post("/v1/review/documents", json={"documents": [{"text": TEXT, "id": "letter"}]})
    extracted(client)
    version = changes(client)["version"]
    body = {"edit": {"action": "reject", "span": 1}, "after": version, "open": 1}
    answer = client.post("/v1/review/edits", json=body).json()
    assert [sentence["number"] for sentence in answer["sentences"]] == [0]
    assert answer["place"] == {"document": 1, "sentence": 0, "span": 1}
    assert (answer["undo"], answer["documents"][0]["state"]) == ("reject", "work")
    assert edit(client, "sign", document=1, sentence=0).status_code == 200
    [stored] = wait_until(lambda: extraction_service.pool.snapshot()[1])
    assert (stored.text, [mention.text for mention in stored.mentions]) == ("Ann flew to Oslo.", ["Oslo"])
    assert wait_until(lambda: changes(client)["pool"] == 1), "soon after the pool is written"


def test_refusals_say_why(serve: Any) -> None:
    client = serve()
    assert edit(client, "undo").json() == {"error": "there is nothing to undo"}
    assert edit(client, "undo").status_code == 409
    assert edit(client, "accept", span=5).json() == {"error": "this mention is gone; reload the page"}
    assert edit(client, "accept", span=-1).status_code == 422
    assert edit(client, "explode").status_code == 422
    assert client.get("/v1/review/documents/7").status_code == 404
    response = client.post("/v1/review/extraction", json={"documents": [9]})
    assert response.status_code in (202, 409)


def test_files_are_read_by_the_readers_of_extract_and_errors_name_them(serve: Any) -> None:
    client = serve()

    def upload(name: str, content: str) -> Any:
        return client.post("/v1/review/files", params={"name": name}, content=content.encode())

    line = {"id": "x", "text": "Ann slept.", "mentions": [{"start": 0, "end": 3, "label": "pilot"}]}
    assert upload("gold.jsonl", json.dumps(line)).json() == {"added": [1], "known": 0}
    assert upload("gold.jsonl", json.dumps(line)).json() == {"added": [], "known": 1}
    assert upload("notes.txt", "Bob Lee left Oslo.").json()["added"] == [2]
    assert upload("words.conll", "Ann B-person\nslept O\n").json()["added"] == [3]
    assert upload("letters/may/words.conll", "Bob B-person\n").json()["added"] == [4]
    refused = upload("letters/broken.jsonl", '{"text": 1}\n')
    assert refused.json()["error"].startswith("letters/broken.jsonl:1: there is no text")
    refused = upload("../../etc/broken.jsonl", '{"text": "a"}\n{"text": 1}\n')
    assert refused.status_code == 409
    assert refused.json()["error"].startswith("broken.jsonl:2: there is no text")
    for name in ("a\0b.txt", "..", "/", "\u5e9c" * 200):
        refused = upload(name, "Ann.")
        assert refused.status_code == 409, name
        assert "cannot be stored under this name" in refused.json()["error"]
    rows = extracted(client)
    assert [(row["name"], row["mentions"]) for row in rows] == [
        ("x", 1),
        ("notes.txt", 2),
        ("words.conll:1", 1),
        ("letters/may/words.conll:1", 1),
    ]
    assert [label["name"] for label in changes(client)["settings"]["labels"]] == ["pilot", "person", "location"]


@pytest.mark.filterwarnings("ignore::entsemble.errors.EntsembleWarning")  # of what the format does not store
def test_the_session_is_exported_in_any_format(serve: Any) -> None:
    client = serve()
    client.post("/v1/review/documents", json={"documents": [{"text": TEXT, "id": "a"}, {"text": "Oslo.", "id": "b"}]})
    extracted(client)
    edit(client, "finish", documents=[2])
    lines = client.get("/v1/review/export", params={"format": "jsonl"}).text.splitlines()
    assert [len(json.loads(line)["mentions"]) for line in lines] == [5, 1]
    done = client.get("/v1/review/export", params={"format": "conll", "only_done": True})
    assert done.text.split()[-4:] == ["Oslo", "B-location", ".", "O"]
    assert "Bergen" not in done.text
    assert client.get("/v1/review/export", params={"format": "docx"}).status_code == 422


def test_cancelling_keeps_what_is_there_and_extraction_continues_later(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from entsemble.ner.pipeline import Pipeline

    run_pipeline = Pipeline.run

    def slow(self: Pipeline, text: str) -> Any:
        time.sleep(0.02)
        return run_pipeline(self, text)

    monkeypatch.setattr(Pipeline, "run", slow)
    client = serve()
    text = "\n".join(f"Ann left Oslo on day {number}." for number in range(100))
    client.post("/v1/review/documents", json={"documents": [{"text": text}]})
    work = wait_until(lambda: (changes(client)["work"] or {}).get("done", 0) >= 2 and changes(client)["work"])
    assert (work["document"], work["total"]) == (1, 100)
    assert work["seconds"] > 0
    client.delete("/v1/review/extraction")
    [row] = wait_until(lambda: changes(client)["work"] is None and changes(client)["documents"])
    assert row["extraction"] == "cancelled"
    assert 2 <= row["extracted"] < 100
    assert row["mentions"] == 2 * row["extracted"]
    client.post("/v1/review/extraction", json={"documents": [1]})
    [row] = extracted(client)
    assert (row["extracted"], row["mentions"], row["extraction"]) == (100, 200, "")


def test_a_model_that_fails_is_reported_with_the_document(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from entsemble.server.service import ExtractionService

    def fail(*_: Any, **__: Any) -> Any:
        raise ModelUnavailableError("the file /secret/model.gguf is broken")

    monkeypatch.setattr(ExtractionService, "extraction", fail)
    client = serve()
    client.post("/v1/review/documents", json={"documents": [{"text": TEXT}]})
    [row] = extracted(client)
    assert (row["extraction"], row["problem"]) == ("failed", "the models did not answer; see the server's log")


def test_extracting_again_replaces_only_what_nobody_decided(serve: Any, review_session: Any) -> None:
    client = serve()
    review_session.add([document(TEXT, ("flew", "person"), ("Bob Lee", "pilot"), id="a")], is_extracted=True)
    edit(client, "accept", span=2)
    client.post("/v1/review/extraction", json={"documents": [1], "again": True})
    extracted(client)
    [corrected] = review_session.documents()
    pairs = [(mention.text, mention.label) for mention in corrected.mentions]
    assert pairs == [
        ("Ann", "person"),
        ("Oslo", "location"),
        ("Bob Lee", "pilot"),
        ("Ann", "person"),
        ("Bergen", "location"),
    ]


def test_search_and_queue(serve: Any) -> None:
    client = serve()
    client.post("/v1/review/documents", json={"documents": [{"text": TEXT, "id": "a"}, {"text": "Oslo.", "id": "b"}]})
    extracted(client)
    assert client.get("/v1/review/search", params={"words": "OSLO bob"}).json() == {"documents": [1]}
    sentences = client.get("/v1/review/queue").json()["sentences"]
    assert {row["text"] for row in sentences} == {"Ann flew to Oslo.", "Bob Lee met Ann in Bergen.", "Oslo."}
