"""Retries and rate limits, against a server over real HTTP that fails in many ways."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from entsemble.backends.openai.client import Client, RequestPolicy
from entsemble.backends.openai.model import OpenAIModel
from entsemble.backends.scripted import ScriptedModel
from entsemble.errors import BadReplyError, ConfigError, ModelUnavailableError
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import LocalExtractor
from entsemble.ner.decision import DecisionRules
from entsemble.ner.documents import Extracted, Failed
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.prompting.labels import label_set
from entsemble.prompting.template import load_template
from entsemble.types import Decoding, Document
from entsemble.voting.rules import VOTING_RULES
from tests.backends.openai.stand_in import RAW_TEXT

Handle = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]
FAST = RequestPolicy(timeout=60, retries=4, backoff=0.01, concurrency=4)


@contextmanager
def server(handle: Handle) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                handle(self, body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/v1"
        finally:
            running.shutdown()
            thread.join()


def send(
    handler: BaseHTTPRequestHandler, status: int, content: str, *, length: int | None = None, **headers: str
) -> None:
    encoded = content.encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(encoded) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(encoded)


COMPLETION = json.dumps({"choices": [{"text": " yes", "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}})


def send_completion(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, COMPLETION)


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(2.5)
    send_completion(handler)


def trickle(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte at a time: no single wait is too long, but the sum is."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(COMPLETION)))
    handler.end_headers()
    for letter in COMPLETION:
        handler.wfile.write(letter.encode())
        handler.wfile.flush()
        time.sleep(0.05)


def report_busy(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 429, "slow down", Retry_After="0.15")


def report_error(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 500, "oops")


def truncate(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, COMPLETION[: len(COMPLETION) // 2])


def cut_off_connection(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, COMPLETION[:10], length=len(COMPLETION))
    handler.close_connection = True


def send_html_page(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, "<html>Please sign in</html>", Content_Type="text/html")


FAULTS = [hang, trickle, report_busy, report_error, truncate, cut_off_connection, send_html_page]


def timeout_for(fault: Callable[[BaseHTTPRequestHandler], None]) -> float:
    """Short if timeouts are tested, else so long that a busy machine does not cause one."""
    return 1.5 if fault in (hang, trickle) else 60


def client(url: str, policy: RequestPolicy = FAST) -> Client:
    return Client(httpx.URL(url), None, policy)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_transient_fault_is_retried(fault: Callable[[BaseHTTPRequestHandler], None]) -> None:
    attempts_made = itertools.count()
    with server(lambda handler, _: fault(handler) if next(attempts_made) == 0 else send_completion(handler)) as url:
        response = client(url, replace(FAST, timeout=timeout_for(fault))).post(httpx.URL(url), {})
    assert response.json()["choices"][0]["text"] == " yes"
    assert next(attempts_made) == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_permanent_fault_is_an_error_that_names_the_address(fault: Callable[[BaseHTTPRequestHandler], None]) -> None:
    kind = BadReplyError if fault in (truncate, send_html_page) else ModelUnavailableError
    with server(lambda handler, _: fault(handler)) as url, pytest.raises(kind, match=r"127\.0\.0\.1"):
        client(url, RequestPolicy(timeout=timeout_for(fault), retries=1, backoff=0.01)).post(httpx.URL(url), {})


def test_a_key_that_is_not_valid_in_a_header_is_an_error_that_hides_it() -> None:
    with pytest.raises(ConfigError, match=r"^the API key for http://x/ has characters that no key has") as raised:
        Client(httpx.URL("http://x/"), "sk-se\ncret", RequestPolicy())
    assert "cret" not in str(raised.value)
    client = Client(httpx.URL("http://x/"), "sk-secret\r\n", RequestPolicy())
    assert client.excerpt("sk-secret is wrong") == "[key] is wrong"
    client.close()


def test_a_retry_waits_as_long_as_the_server_asks() -> None:
    attempts_made = itertools.count()
    started = time.monotonic()
    with server(
        lambda handler, _: report_busy(handler) if next(attempts_made) < 2 else send_completion(handler)
    ) as url:
        client(url).post(httpx.URL(url), {})
    assert time.monotonic() - started >= 0.3


def test_a_permanent_status_is_not_retried() -> None:
    attempts_made = itertools.count()

    def reject(handler: BaseHTTPRequestHandler, _: object) -> None:
        next(attempts_made)
        send(handler, 404, "{}")

    with server(reject) as url:
        assert client(url).post(httpx.URL(url), {}).status_code == 404
    assert next(attempts_made) == 1


def test_concurrent_requests_stay_within_the_limit() -> None:
    lock, running_count, max_running = threading.Lock(), 0, 0

    def slow(handler: BaseHTTPRequestHandler, _: object) -> None:
        nonlocal running_count, max_running
        with lock:
            running_count += 1
            max_running = max(max_running, running_count)
        time.sleep(0.03)
        with lock:
            running_count -= 1
        send_completion(handler)

    with server(slow) as url:
        shared_client = client(url, RequestPolicy(concurrency=3))
        threads = [threading.Thread(target=shared_client.post, args=(httpx.URL(url), {})) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max_running == 3


def test_requests_per_minute_stay_within_the_limit() -> None:
    with server(lambda handler, _: send_completion(handler)) as url:
        shared_client = client(url, RequestPolicy(requests_per_minute=1200))
        started = time.monotonic()
        for _ in range(7):
            shared_client.post(httpx.URL(url), {})
    assert time.monotonic() - started >= 6 * 0.05


@pytest.mark.parametrize(("down_seconds", "attempts"), [(60.0, 3), (0.0, 9)])
def test_a_server_that_is_down_is_not_tried_again_for_a_while(down_seconds: float, attempts: int) -> None:
    attempts_made = itertools.count()

    def fail(handler: BaseHTTPRequestHandler, _: object) -> None:
        next(attempts_made)
        report_error(handler)

    with server(fail) as url:
        shared_client = client(url, RequestPolicy(retries=2, backoff=0.01, down_seconds=down_seconds))
        for _ in range(3):
            with pytest.raises(ModelUnavailableError, match="500"):
                shared_client.post(httpx.URL(url), {})
        assert next(attempts_made) == attempts


def scripted_answer(body: dict[str, Any]) -> str:
    """The scripted model's answer to a completion request."""
    prompt = body["prompt"]
    scripted = ScriptedModel("s", {"Oslo": "location", "Ann": "person"})
    if prompt.endswith("="):
        options = [" location;", " person;", " none;"]
        text = options[scripted.choose([prompt], options)[0].best_index]
    else:
        text = scripted.generate([prompt], Decoding(64, stop=("\n",)))[0].text
    return json.dumps({"choices": [{"text": text, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}})


@pytest.mark.parametrize("quorum", [None, 1])
def test_every_document_is_extracted_or_failed_with_an_unreliable_server(quorum: int | None) -> None:
    random_source, lock = random.Random(0), threading.Lock()

    def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with lock:
            fault = random_source.choice(FAULTS) if random_source.random() < 0.25 else None
        if fault is not None:
            fault(handler)
        else:
            send(handler, 200, scripted_answer(body))

    documents = [Document(f"d{i}", f"Ann left Oslo {i} times.") for i in range(40)]
    with server(answer) as url:
        policy = RequestPolicy(timeout=1.5, retries=1, backoff=0.01, concurrency=8, down_seconds=0.0)
        models = [OpenAIModel(name, url, "big", policy=policy, profile=RAW_TEXT) for name in "ab"]
        members = [Member(m.name, m, load_template("ner-1"), load_template("zero-shot-1")) for m in models]
        rules = DecisionRules(VOTING_RULES["majority"], 0.0, None, 0.5, DemonstrationLimits(0), quorum=quorum)
        pipeline = Pipeline(members, label_set({"location": "", "person": ""}), None, rules)
        results = list(LocalExtractor(pipeline, LocalMapper(8), "en", {}).extract(documents))
        for model in models:
            model.close()
    assert [r.document.id for r in results] == [d.id for d in documents]
    extracted = [r for r in results if isinstance(r, Extracted)]
    failed = [r for r in results if isinstance(r, Failed)]
    assert all([(m.text, m.label) for m in r.document.mentions] == EXPECTED_MENTIONS for r in extracted)
    assert all("127.0.0.1" in str(r.error) for r in failed)
    assert any(r.absent_members for r in extracted) == (quorum == 1)
    assert extracted
    assert failed or quorum == 1


EXPECTED_MENTIONS = [("Ann", "person"), ("Oslo", "location")]
