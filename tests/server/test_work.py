"""Requests whose clients left, and servers that stop: nothing computes for nobody, and nothing holds a slot."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from entsemble._lib.cancellation import CancelCheck
from entsemble.backends.scripted import ScriptedModel
from entsemble.types import Decoding, Reply

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from entsemble.server.work import WorkThreads

Listen = Callable[..., Any]
LABELS = {"person": "", "location": ""}
LONG_TEXT = "Ann flew to Oslo with Bob Lee and to Bergen with Ann. " * 100


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts of slow calls of models, in the order in which they begin."""
    prompts_seen: list[str] = []
    generate = ScriptedModel.generate

    def slow(self: ScriptedModel, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        prompts_seen.extend(prompts)
        time.sleep(0.1)
        return generate(self, prompts, decoding)

    monkeypatch.setattr(ScriptedModel, "generate", slow)
    return prompts_seen


@pytest.fixture
def end_times(monkeypatch: pytest.MonkeyPatch) -> queue.Queue[float]:
    """When the threads end that work for requests, as they see it."""
    times: queue.Queue[float] = queue.Queue()
    work = WorkThreads.work

    def watched(self: WorkThreads, function: Callable[[CancelCheck], None], interrupt: Any) -> Any:
        def run(is_cancelled: CancelCheck) -> None:
            try:
                function(is_cancelled)
            finally:
                times.put(time.monotonic())

        return work(self, run, interrupt)

    monkeypatch.setattr(WorkThreads, "work", watched)
    return times


def leave_request(port: int, path: str, body: Any, has_begun: Callable[[], bool], accept: str = "*/*") -> float:
    """Send a request, and disconnect once the server works on it; the time of the departure."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(head.encode() + content)
        end = time.monotonic() + 30
        while not has_begun() and time.monotonic() < end:
            time.sleep(0.01)
        departure = time.monotonic()
    assert has_begun()
    return departure


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_work_for_a_client_that_left_ends_at_the_next_call_of_a_model(
    listen: Listen, calls: list[str], end_times: queue.Queue[float], accept: str
) -> None:
    port = listen().used_port
    body = {"documents": [{"text": LONG_TEXT}], "labels": LABELS}
    departure = leave_request(port, "/v1/extract", body, lambda: bool(calls), accept)
    assert end_times.get(timeout=30) - departure < 1
    call_count = len(calls)
    time.sleep(0.5)
    assert len(calls) == call_count


def test_a_request_that_was_left_inside_a_long_call_gives_its_slot_to_the_next(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    proceed, waiting = threading.Event(), threading.Event()
    generate = ScriptedModel.generate

    def endless(self: ScriptedModel, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        if any("Bergen" in prompt for prompt in prompts):
            waiting.set()
            proceed.wait(60)
        return generate(self, prompts, decoding)

    monkeypatch.setattr(ScriptedModel, "generate", endless)
    port = listen(concurrent_requests=1).used_port
    body: dict[str, Any] = {"documents": [{"text": "Bergen."}], "labels": LABELS}
    leave_request(port, "/v1/extract", body, waiting.is_set)
    body["documents"] = [{"text": "Ann flew to Oslo."}]
    started = time.monotonic()
    response = httpx.post(f"http://127.0.0.1:{port}/v1/extract", json=body, timeout=30)
    proceed.set()
    assert [mention["text"] for mention in response.json()["documents"][0]["mentions"]] == ["Ann", "Oslo"]
    assert time.monotonic() - started < 10


def test_an_export_that_was_left_ends(
    listen: Listen, end_times: queue.Queue[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def write_slowly(documents: Any, *_: Any) -> None:
        for document in documents:
            written.append(document.id)
            time.sleep(0.05)

    monkeypatch.setattr("entsemble.server.export.write", write_slowly)
    port = listen().used_port
    departure = leave_request(port, "/v1/export", {"documents": [{"text": "a"}] * 200}, lambda: bool(written))
    assert end_times.get(timeout=30) - departure < 1
    count = len(written)
    time.sleep(0.3)
    assert len(written) == count < 100


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_requests_in_progress_get_an_answer_when_the_server_stops(
    listen: Listen, calls: list[str], accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entsemble.server.connections._GRACE_SECONDS", 0.5)
    server = listen(concurrent_requests=1)
    answers: list[httpx.Response] = []

    def send() -> None:
        body = {"documents": [{"text": LONG_TEXT}], "labels": LABELS}
        url = f"http://127.0.0.1:{server.used_port}/v1/extract"
        answers.append(httpx.post(url, json=body, headers={"Accept": accept}, timeout=30))

    clients = [threading.Thread(target=send) for _ in range(2)]  # one runs, and one waits
    for client in clients:
        client.start()
    end = time.monotonic() + 30
    while not calls and time.monotonic() < end:
        time.sleep(0.01)
    stopped = time.monotonic()
    server.should_exit = True
    for client in clients:
        client.join(30)
    assert time.monotonic() - stopped < 5
    assert len(answers) == 2
    for answer in answers:
        assert "the server is stopping" in answer.text
        assert answer.status_code == (503 if accept == "application/json" else 200)
