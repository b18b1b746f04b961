"""A server that fails in every way it can, over real HTTP."""

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


def send(to: BaseHTTPRequestHandler, status: int, content: str, *, length: int | None = None, **headers: str) -> None:
    raw = content.encode()
    to.send_response(status)
    to.send_header("Content-Length", str(len(raw) if length is None else length))
    for name, value in headers.items():
        to.send_header(name.replace("_", "-"), value)
    to.end_headers()
    to.wfile.write(raw)


GOOD = json.dumps({"choices": [{"text": " yes", "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}})


def good(to: BaseHTTPRequestHandler) -> None:
    send(to, 200, GOOD)


def hangs(to: BaseHTTPRequestHandler) -> None:
    time.sleep(2.5)
    good(to)


def drips(to: BaseHTTPRequestHandler) -> None:
    """A byte at a time: no single wait is too long, the whole is."""
    to.send_response(200)
    to.send_header("Content-Length", str(len(GOOD)))
    to.end_headers()
    for letter in GOOD:
        to.wfile.write(letter.encode())
        to.wfile.flush()
        time.sleep(0.05)


def busy(to: BaseHTTPRequestHandler) -> None:
    send(to, 429, "slow down", Retry_After="0.15")


def broken(to: BaseHTTPRequestHandler) -> None:
    send(to, 500, "oops")


def truncated(to: BaseHTTPRequestHandler) -> None:
    send(to, 200, GOOD[: len(GOOD) // 2])


def cut_off(to: BaseHTTPRequestHandler) -> None:
    send(to, 200, GOOD[:10], length=len(GOOD))
    to.close_connection = True


def page(to: BaseHTTPRequestHandler) -> None:
    send(to, 200, "<html>Please sign in</html>", Content_Type="text/html")


FAULTS = [hangs, drips, busy, broken, truncated, cut_off, page]


def patience(fault: Callable[[BaseHTTPRequestHandler], None]) -> float:
    """Short where it is what is tested, else so long that a machine with much to do is not taken for a silent one."""
    return 1.5 if fault in (hangs, drips) else 60


def client(url: str, policy: RequestPolicy = FAST) -> Client:
    return Client(httpx.URL(url), None, policy)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_tried_again(fault: Callable[[BaseHTTPRequestHandler], None]) -> None:
    asked = itertools.count()
    with server(lambda to, _: fault(to) if next(asked) == 0 else good(to)) as url:
        told = client(url, replace(FAST, timeout=patience(fault))).post({})
    assert told.json()["choices"][0]["text"] == " yes"
    assert next(asked) == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_told(fault: Callable[[BaseHTTPRequestHandler], None]) -> None:
    kind = BadReplyError if fault in (truncated, page) else ModelUnavailableError
    with server(lambda to, _: fault(to)) as url, pytest.raises(kind, match=r"127\.0\.0\.1"):
        client(url, RequestPolicy(timeout=patience(fault), retries=1, backoff=0.01)).post({})


def test_a_key_that_no_header_can_hold_is_not_shown() -> None:
    with pytest.raises(ConfigError, match=r"^the API key for http://x/ has characters that no key has") as told:
        Client(httpx.URL("http://x/"), "sk-se\ncret", RequestPolicy())
    assert "cret" not in str(told.value)
    client = Client(httpx.URL("http://x/"), "sk-secret\r\n", RequestPolicy())
    assert client.excerpt("sk-secret is wrong") == "[key] is wrong"
    client.close()


def test_it_waits_as_long_as_the_server_asks() -> None:
    asked = itertools.count()
    began = time.monotonic()
    with server(lambda to, _: busy(to) if next(asked) < 2 else good(to)) as url:
        client(url).post({})
    assert time.monotonic() - began >= 0.3


def test_what_will_not_change_is_not_asked_again() -> None:
    asked = itertools.count()

    def refuse(to: BaseHTTPRequestHandler, _: object) -> None:
        next(asked)
        send(to, 404, "{}")

    with server(refuse) as url:
        assert client(url).post({}).status_code == 404
    assert next(asked) == 1


def test_no_more_requests_than_allowed_are_under_way() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def slow(to: BaseHTTPRequestHandler, _: object) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.03)
        with lock:
            now -= 1
        good(to)

    with server(slow) as url:
        one = client(url, RequestPolicy(concurrency=3))
        threads = [threading.Thread(target=one.post, args=({},)) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 3


def test_no_more_requests_begin_a_minute_than_allowed() -> None:
    with server(lambda to, _: good(to)) as url:
        one = client(url, RequestPolicy(requests_per_minute=1200))
        began = time.monotonic()
        for _ in range(7):
            one.post({})
    assert time.monotonic() - began >= 6 * 0.05


@pytest.mark.parametrize(("down_seconds", "attempts"), [(60.0, 3), (0.0, 9)])
def test_a_server_that_is_down_is_not_tried_again_for_a_while(down_seconds: float, attempts: int) -> None:
    asked = itertools.count()

    def fail(to: BaseHTTPRequestHandler, _: object) -> None:
        next(asked)
        broken(to)

    with server(fail) as url:
        one = client(url, RequestPolicy(retries=2, backoff=0.01, down_seconds=down_seconds))
        for _ in range(3):
            with pytest.raises(ModelUnavailableError, match="500"):
                one.post({})
        assert next(asked) == attempts


def _answering(body: dict[str, Any]) -> str:
    """What the scripted model says to a completion request."""
    prompt = body["prompt"]
    scripted = ScriptedModel("s", {"Oslo": "location", "Ann": "person"})
    if prompt.endswith("="):
        options = [" location;", " person;", " none;"]
        text = options[scripted.choose([prompt], options)[0].best_index]
    else:
        text = scripted.generate([prompt], Decoding(64, stop=("\n",)))[0].text
    return json.dumps({"choices": [{"text": text, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}})


@pytest.mark.parametrize("quorum", [None, 1])
def test_every_document_is_accounted_for(quorum: int | None) -> None:
    rng, lock = random.Random(0), threading.Lock()

    def answer(to: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with lock:
            fault = rng.choice(FAULTS) if rng.random() < 0.25 else None
        if fault is not None:
            fault(to)
        else:
            send(to, 200, _answering(body))

    documents = [Document(f"d{i}", f"Ann left Oslo {i} times.") for i in range(40)]
    with server(answer) as url:
        policy = RequestPolicy(timeout=1.5, retries=1, backoff=0.01, concurrency=8, down_seconds=0.0)
        models = [OpenAIModel(name, url, "big", choose="text", policy=policy) for name in "ab"]
        members = [Member(m.name, m, load_template("ner-1"), load_template("zero-shot-1")) for m in models]
        rules = DecisionRules(VOTING_RULES["majority"], 0.0, None, 0.5, DemonstrationLimits(0), quorum=quorum)
        pipeline = Pipeline(members, label_set({"location": "", "person": ""}), None, rules)
        results = list(LocalExtractor(pipeline, LocalMapper(8), "en", {}).extract(documents))
        for model in models:
            model.close()
    assert [r.document.id for r in results] == [d.id for d in documents]
    done = [r for r in results if isinstance(r, Extracted)]
    failed = [r for r in results if isinstance(r, Failed)]
    assert all([(m.text, m.label) for m in r.document.mentions] == FOUND for r in done)
    assert all("127.0.0.1" in str(r.error) for r in failed)
    assert any(r.absent_members for r in done) == (quorum == 1)
    assert done
    assert failed or quorum == 1


FOUND = [("Ann", "person"), ("Oslo", "location")]
