"""Servers that answer with anything at all: each answer is an error of ours, in bounded time and memory."""

from __future__ import annotations

import gzip
import json
import math
import re
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entsemble.backends.openai.client import RequestPolicy
from entsemble.backends.openai.exchange import Answer, Connection
from entsemble.backends.openai.model import OpenAIModel
from entsemble.backends.openai.probe import ServerProfile
from entsemble.backends.openai.routes import OllamaRoute
from entsemble.errors import BadReplyError, EntsembleError, ModelError, ModelUnavailableError
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import LocalExtractor
from entsemble.ner.decision import DecisionRules
from entsemble.ner.documents import Extracted, Failed
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.prompting.labels import label_set
from entsemble.prompting.template import load_template
from entsemble.types import Choice, Decoding, Document, Reply
from entsemble.voting.rules import VOTING_RULES
from tests.backends.openai.stand_in import CHAT, RAW, RAW_TEXT

Respond = Callable[[socket.socket, bytes], None]
"""Answers one request on an open connection, in bytes."""

OPTIONS = (" person;", " place;")
FAST = RequestPolicy(timeout=30.0, retries=0, backoff=0.0, down_seconds=0.0)
IMPATIENT = RequestPolicy(timeout=0.5, retries=0, backoff=0.0, down_seconds=0.0)


@contextmanager
def raw_server(respond: Respond) -> Iterator[str]:
    """The address of a server that sends any bytes; each request has a connection of its own."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                respond(connection, read_request(connection))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return body


def sends(content: bytes, *headers: str, status: str = "200 OK") -> Respond:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers])
    return lambda connection, _: connection.sendall(head.encode() + b"\r\n\r\n" + content)


def drip_headers(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _repetition in range(100):
        connection.sendall(b"x")
        time.sleep(0.05)


def send_endless_body(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def send_interim_answers(connection: socket.socket, _: bytes) -> None:
    for _repetition in range(100):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        time.sleep(0.05)


def gigabyte_of_zeros() -> bytes:
    """1 GB as gzip: a block of 16 MB, repeated."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = compressor.compress(bytes(16 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"", mtime=0)[:10] + 64 * block


def completion(**changes: Any) -> bytes:
    answer = {"choices": [{"text": " person;", "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    return json.dumps({**answer, **changes}).encode()


def top_tokens(log_probability: str) -> bytes:
    answer = {"choices": [{"text": "", "logprobs": {"top_logprobs": [{" person": "VALUE", " place": -1.0}]}}]}
    return json.dumps(answer).replace('"VALUE"', log_probability).encode()


BAD_BODIES = {
    "infinite count": completion(usage={"prompt_tokens": "X"}).replace(b'"X"', b"1e400"),
    "negative count": completion(usage={"prompt_tokens": -1}),
    "count of 4,000 digits": completion(usage={"prompt_tokens": "X"}).replace(b'"X"', b"9" * 4000),
    "counts in a list": completion(usage=[1]),
    "deep nesting": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "no choices": completion(choices=[]),
    "choices by name": completion(choices={"0": {"text": "x"}}),
    "text that is a number": completion(choices=[{"text": 1}]),
    "half a surrogate pair": completion(choices=[{"text": "X"}]).replace(b'"X"', b'"\\ud800"'),
    "not UTF-8": completion(choices=[{"text": "X"}]).replace(b"X", b"\xff"),
    "null": b"null",
    "nothing": b"",
}


@contextmanager
def model_at(url: str, **arguments: Any) -> Iterator[OpenAIModel]:
    model = OpenAIModel("m", url, "big", **{"policy": FAST, "profile": RAW_TEXT, **arguments})
    try:
        yield model
    finally:
        model.close()


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_malformed_answer_is_an_error_of_ours(name: str) -> None:
    with raw_server(sends(BAD_BODIES[name])) as url, model_at(url) as model:
        with pytest.raises(BadReplyError, match=r"127\.0\.0\.1"):
            model.generate(["a"], Decoding(5))
        with pytest.raises(BadReplyError, match=r"127\.0\.0\.1"):
            model.choose(["a"], OPTIONS)


@pytest.mark.parametrize("value", ["800", "NaN", "Infinity", "1e400", "9" * 400])
def test_a_number_that_is_no_log_probability_is_an_error(value: str) -> None:
    with (
        raw_server(sends(top_tokens(value))) as url,
        model_at(url, profile=RAW) as model,
        pytest.raises(BadReplyError, match=r"127\.0\.0\.1.* log-probabilities"),
    ):
        model.choose(["a"], OPTIONS)


@pytest.mark.parametrize("value", ["-1e400", "-" + "9" * 400, "-Infinity", "1e-7", "-0.0", "null"])
def test_an_impossible_token_and_a_rounding_error_are_log_probabilities(value: str) -> None:
    with raw_server(sends(top_tokens(value))) as url, model_at(url, profile=RAW) as model:
        [choice] = model.choose(["a"], OPTIONS)
    assert sum(map(math.exp, choice.log_probabilities)) == pytest.approx(1)


@pytest.mark.parametrize("respond", [drip_headers, send_interim_answers])
def test_one_deadline_ends_the_whole_exchange(respond: Respond) -> None:
    started = time.monotonic()
    with raw_server(respond) as url, model_at(url, policy=IMPATIENT) as model:
        with pytest.raises(ModelUnavailableError, match=r"no answer .* within 0\.5 s"):
            model.generate(["a"], Decoding(5))
        assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    "respond", [send_endless_body, sends(gigabyte_of_zeros(), "Content-Encoding: gzip")], ids=["endless", "bomb"]
)
def test_an_answer_of_any_size_takes_little_memory(respond: Respond) -> None:
    with raw_server(respond) as url, model_at(url) as model:
        tracemalloc.start()
        try:
            with pytest.raises(BadReplyError, match="more than 16 MB"):
                model.generate(["a"], Decoding(5))
            assert tracemalloc.get_traced_memory()[1] < 60 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    "respond",
    [
        sends(b"x", "Content-Encoding: gzip"),
        sends(gzip.compress(completion())[:-9], "Content-Encoding: gzip"),
        sends(gzip.compress(completion()) + b"more", "Content-Encoding: gzip"),
        sends(completion(), "Content-Encoding: zstd"),
        lambda connection, _: connection.sendall(b"\x00\xff" * 50_000),
        lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"x" * 500_000),
        lambda connection, _: connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + b"x"),
        lambda connection, _: connection.close(),
    ],
)
def test_what_is_not_http_is_an_error(respond: Respond) -> None:
    with raw_server(respond) as url, model_at(url) as model, pytest.raises(ModelError, match=r"127\.0\.0\.1"):
        model.generate(["a"], Decoding(5))


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_compressed_answer_is_read(compress: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if compress is gzip.compress else "deflate"
    with raw_server(sends(compress(completion()), f"Content-Encoding: {encoding}")) as url, model_at(url) as model:
        [reply] = model.generate(["a"], Decoding(5))
    assert reply.text == " person;"


def test_a_redirect_is_not_followed() -> None:
    requests: list[bytes] = []

    def record(connection: socket.socket, body: bytes) -> None:
        requests.append(body)
        sends(completion())(connection, body)

    with raw_server(record) as other_url:
        redirect = sends(b"", f"Location: {other_url}", status="307 Temporary Redirect")
        with raw_server(redirect) as url, model_at(url) as model, pytest.raises(ModelUnavailableError) as raised:
            model.generate(["a secret"], Decoding(5))
    assert requests == []
    assert other_url in str(raised.value)


def test_a_reply_is_not_longer_than_its_tokens_can_be() -> None:
    endless = sends(completion(choices=[{"text": "Ann | " * 100_000, "finish_reason": "stop"}]))
    with raw_server(endless) as url, model_at(url) as model:
        [reply] = model.generate(["a"], Decoding(5))
    assert len(reply.text) == 5 * 64
    assert not reply.finished


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
TOP_TOKENS = st.fixed_dictionaries({"token": JSON | st.just(" per"), "logprob": JSON | st.floats(-20, 1)})
LOGPROBS = st.fixed_dictionaries(
    {},
    optional={
        "content": JSON | st.lists(st.fixed_dictionaries({"top_logprobs": JSON | st.lists(TOP_TOKENS)}), max_size=2),
        "top_logprobs": JSON | st.lists(st.dictionaries(st.sampled_from([" person", " pl", " "]), st.floats() | JSON)),
    },
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "text": JSON,
        "message": JSON | st.fixed_dictionaries({"content": JSON}),
        "finish_reason": JSON,
        "logprobs": JSON | LOGPROBS,
    },
)
COUNTS = st.fixed_dictionaries({}, optional={"prompt_tokens": JSON, "prompt_tokens_details": JSON})
OLLAMA = st.fixed_dictionaries(
    {"response": JSON}, optional={"logprobs": JSON | st.lists(TOP_TOKENS), "eval_count": JSON}
)
ANSWERS = (
    JSON | OLLAMA | st.fixed_dictionaries({"choices": JSON | st.lists(CHOICES, max_size=2)}, optional={"usage": COUNTS})
)


@pytest.fixture(scope="module")
def models_without_server() -> Iterator[dict[str, OpenAIModel]]:
    with ExitStack() as stack:
        profiles = {"completions": RAW, "chat": CHAT, "ollama": ServerProfile(OllamaRoute(4096), top_tokens=20)}
        yield {
            api: stack.enter_context(model_at("http://127.0.0.1:9/v1", profile=profile))
            for api, profile in profiles.items()
        }


@settings(max_examples=300, deadline=None)
@given(
    ANSWERS,
    st.sampled_from(["completions", "chat", "ollama"]),
    st.sampled_from([*[200] * 9, 299, 302, 400, 404, 418, 503, 999]),
)
def test_any_json_is_an_answer_or_an_error_of_ours(
    models_without_server: dict[str, OpenAIModel], answer: Any, api: str, status: int
) -> None:
    model, content = models_without_server[api], json.dumps(answer).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "send", lambda *_: Answer(status, httpx.Headers(), content))
        with suppress(EntsembleError):
            [reply] = model.generate(["a"], Decoding(5))
            assert isinstance(reply, Reply)
        with suppress(EntsembleError):
            [choice] = model.choose(["a"], OPTIONS)
            assert isinstance(choice, Choice)
            assert not any(math.isnan(value) for value in choice.log_probabilities)


@pytest.mark.parametrize("bad_body", [b"[" * 200_000, BAD_BODIES["infinite count"], b"null"])
def test_a_malformed_answer_fails_its_document_only(bad_body: bytes) -> None:
    def respond(connection: socket.socket, body: bytes) -> None:
        last_text = json.loads(body)["prompt"].rpartition("Text: ")[2]
        reply = " none" if last_text.endswith("Entities:") else " person;"
        sends(bad_body if "Oslo" in last_text else completion(choices=[{"text": reply}]))(connection, body)

    documents = [Document(id_, text) for id_, text in (("a", "Ann left."), ("b", "Oslo is far."), ("c", "Bo sat."))]
    with raw_server(respond) as url, model_at(url) as model:
        member = Member("m", model, load_template("ner-1"), load_template("zero-shot-1"))
        rules = DecisionRules(VOTING_RULES["majority"], 0.0, None, 0.5, DemonstrationLimits(0))
        pipeline = Pipeline([member], label_set({"person": ""}), None, rules)
        results = list(LocalExtractor(pipeline, LocalMapper(1), "en", {}).extract(documents))
    assert [type(result) for result in results] == [Extracted, Failed, Extracted]
