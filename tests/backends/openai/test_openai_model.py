import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import platformdirs
import pytest

from entsemble.backends.catalogue import find_card
from entsemble.backends.download import pull
from entsemble.backends.openai.client import RequestPolicy
from entsemble.backends.openai.model import OpenAIModel, match_option
from entsemble.backends.option_trie import Branching, TokenTrie
from entsemble.errors import BadReplyError, ConfigError, ModelUnavailableError, PromptTooLongError
from entsemble.protocols import LanguageModel
from entsemble.types import Decoding, Usage

KEY = "sk-very-secret"
OPTIONS = [" person;", " place;", " none;"]
Answer = tuple[int, Any]

QUICK = RequestPolicy(retries=2, backoff=0.0)


@contextmanager
def serving(answer: Callable[[str, dict[str, Any]], Answer], **settings: Any) -> Iterator[OpenAIModel]:
    """A model at a server that answers as told; what is not a string goes out as JSON."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Authorization"] == f"Bearer {KEY}"
            status, content = answer(self.path, body)
            raw = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        model = OpenAIModel(
            "m", f"http://127.0.0.1:{server.server_port}/v1", "big", KEY, **{"policy": QUICK, **settings}
        )
        try:
            yield model
        finally:
            model.close()
            server.shutdown()
            thread.join()


def said(text: str, **more: Any) -> Answer:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}
    return 200, {"choices": [{"text": text, "finish_reason": "stop", **more}], "usage": usage}


def test_it_is_a_language_model() -> None:
    model = OpenAIModel("m", "http://localhost:1/v1/", "big", KEY)
    assert isinstance(model, LanguageModel)
    assert (model.name, model.parameters) == ("m", None)
    other = OpenAIModel("m", "http://localhost:1/v1", "bigger", KEY)
    assert model.fingerprint != other.fingerprint
    assert KEY not in repr(model) + model.fingerprint
    for each in (model, other):
        each.close()


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://host/v1", "http://"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ConfigError, match="http://HOST:PORT/v1"):
        OpenAIModel("m", url, "big")


def test_generate() -> None:
    bodies: list[dict[str, Any]] = []

    def answer(path: str, body: dict[str, Any]) -> Answer:
        assert path == "/v1/completions"
        bodies.append(body)
        time.sleep(0.05 if body["prompt"] == "a" else 0)  # the first comes back last
        return said("re " + body["prompt"], finish_reason="length" if body["prompt"] == "b" else "stop")

    with serving(answer) as model:
        replies = model.generate(["a", "b", "c"], Decoding(9, stop=("\n",), grammar='root ::= "x"'))
        assert model.generate([], Decoding(1)) == []
    assert [r.text for r in replies] == ["re a", "re b", "re c"]
    assert [r.finished for r in replies] == [True, False, True]
    usage = replies[0].usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.generated_tokens, usage.calls) == (7, 5, 3, 1)
    assert usage.seconds >= 0.05
    assert bodies[0]["model"] == "big"
    assert (bodies[0]["max_tokens"], bodies[0]["temperature"], bodies[0]["stop"]) == (9, 0, ["\n"])
    assert bodies[0]["grammar"] == bodies[0]["structured_outputs"]["grammar"] == 'root ::= "x"'


@pytest.mark.parametrize(
    ("prompts", "expected"), [(("a", "odd", "b"), [True, True, False, True]), (("odd", "b"), [True, False, False])]
)
def test_a_grammar_that_was_taken_once_is_offered_again(prompts: tuple[str, ...], expected: list[bool]) -> None:
    asked: list[bool] = []

    def answer(_: str, body: dict[str, Any]) -> Answer:
        asked.append("grammar" in body)
        if "grammar" in body and body["prompt"] == "odd":
            return 400, {"error": {"message": "no such character"}}
        return said("x")

    with serving(answer) as model:
        for prompt in prompts:
            model.generate([prompt], Decoding(9, grammar='root ::= "x"'))
    assert asked == expected


def test_generate_by_chat() -> None:
    def answer(path: str, body: dict[str, Any]) -> Answer:
        assert path == "/v1/chat/completions"
        assert body["messages"] == [{"role": "user", "content": "hello"}]
        return 200, {"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}

    with serving(answer, api="chat") as model:
        (reply,) = model.generate(["hello"], Decoding(9))
    assert (reply.text, reply.finished) == ("hi", True)
    assert reply.usage == Usage(seconds=reply.usage.seconds, calls=1)


# choose: a model with a vocabulary and probabilities, served in each of the formats

NEXT = {
    "": {" p": 0.4, " person": 0.3, " pl": 0.1, " n": 0.1, "x": 0.05},
    " pl": {"ace": 0.5, "ane": 0.25, "y": 0.2},
    " place": {";": 0.9, "x": 0.05},
    " plane": {";": 0.9},
    " n": {"one": 0.8},
}


def listed(prompt: str, form: str) -> Any:
    top = {token: math.log(p) for token, p in NEXT.get(prompt.removeprefix("Text:"), {}).items()}
    if form == "legacy":
        return {"tokens": ["?"], "token_logprobs": [-1.0], "top_logprobs": [top]}
    pairs = [{"token": token, "logprob": value, "bytes": None} for token, value in top.items()]
    return {"content": [{"token": "?", "logprob": -1.0, "top_logprobs": pairs}]}


@pytest.mark.parametrize("form", ["legacy", "content"])
def test_choose_walks_the_trie_of_tokens(form: str) -> None:
    prompts: list[str] = []

    def answer(_: str, body: dict[str, Any]) -> Answer:
        prompts.append(body["prompt"])
        assert body["max_tokens"] == 1
        return said("?", logprobs=listed(body["prompt"], form))

    with serving(answer) as model:
        (choice,) = model.choose(["Text:"], [" person;", " place;", " plane;", " none;"])
    # " person" 0.3, " pl" 0.1 of which "ace" 2/3, " n" 0.1: the longest token that an option begins with counts
    expected = [0.3 / 0.5, 0.1 / 0.5 * 2 / 3, 0.1 / 0.5 / 3, 0.1 / 0.5]
    assert [math.exp(value) for value in choice.log_probabilities] == pytest.approx(expected)
    assert choice.exact
    assert prompts == ["Text:", "Text: pl"]
    assert choice.usage.calls == 2


def test_an_option_that_no_listed_token_begins() -> None:
    with serving(lambda _, body: said("?", logprobs=listed(body["prompt"], "legacy"))) as model:
        (choice,) = model.choose(["Text:"], [" person;", " zebra;"])
        (single,) = model.choose(["Text:"], [" person;"])
    # half of the least listed, 0.05: all that the list leaves over is 0.05 too
    assert [math.exp(v) for v in choice.log_probabilities] == pytest.approx([0.3 / 0.325, 0.025 / 0.325])
    assert single.log_probabilities == (0.0,)


def test_a_token_that_reaches_beyond_the_option() -> None:
    top = {" person;\n": math.log(0.5), " person; ": math.log(0.1), " place;": math.log(0.3)}
    with serving(lambda *_: said("?", logprobs={"top_logprobs": [top]})) as model:
        (choice,) = model.choose(["Text:"], [" person;", " place;"])
    assert [math.exp(v) for v in choice.log_probabilities] == pytest.approx([0.6 / 0.9, 0.3 / 0.9])


def test_without_logprobs_the_choice_is_guided() -> None:
    bodies: list[dict[str, Any]] = []

    def answer(_: str, body: dict[str, Any]) -> Answer:
        bodies.append(body)
        return said(" place;")

    with serving(answer) as model:
        first, second = model.choose(["a"], OPTIONS)[0], model.choose(["b"], OPTIONS)[0]
    assert first.log_probabilities == second.log_probabilities == (-math.inf, 0.0, -math.inf)
    assert not first.exact
    assert [("logprobs" in body) for body in bodies] == [True, False, False]  # it remembers
    assert bodies[1]["structured_outputs"] == {"choice": OPTIONS}
    assert bodies[1]["guided_choice"] == OPTIONS
    assert bodies[1]["grammar"] == 'root ::= " person;" | " place;" | " none;"'


def test_a_strict_server_is_asked_for_text() -> None:
    known = {"model", "prompt", "max_tokens", "temperature", "stop"}

    def answer(_: str, body: dict[str, Any]) -> Answer:
        extra = body.keys() - known
        return (400, {"error": {"message": f"unknown {extra}"}}) if extra else said(" Place.\nText: more")

    with serving(answer) as model:
        (choice,) = model.choose(["a"], OPTIONS)
        assert choice.log_probabilities == (-math.inf, 0.0, -math.inf)
        assert model.choose(["a"], [" city;", " dog;"])[0].log_probabilities == pytest.approx([-math.log(2)] * 2)
    for mode in ("logprobs", "guided"):
        with serving(answer, choose=mode) as model, pytest.raises(ModelUnavailableError, match="unknown"):
            model.choose(["a"], OPTIONS)


def test_fewer_logprobs_where_the_server_gives_fewer() -> None:
    def answer(_: str, body: dict[str, Any]) -> Answer:
        if body["logprobs"] > 5:
            return 400, "logprobs: at most 5"
        return said("?", logprobs=listed(body["prompt"], "legacy"))

    with serving(answer) as model:
        assert model.choose(["Text:"], OPTIONS)[0].exact


def test_choose_by_chat_uses_the_first_token_alone() -> None:
    bodies: list[dict[str, Any]] = []
    top = [{"token": token, "logprob": math.log(p)} for token, p in {"person": 0.6, "pl": 0.2, "none": 0.1}.items()]

    def answer(_: str, body: dict[str, Any]) -> Answer:
        bodies.append(body)
        message = {"content": "plane"}
        return 200, {"choices": [{"message": message, "logprobs": {"content": [{"top_logprobs": top}]}}]}

    with serving(answer, api="chat") as model:
        (choice,) = model.choose(["a"], OPTIONS)
        assert [math.exp(v) for v in choice.log_probabilities] == pytest.approx([0.6 / 0.9, 0.2 / 0.9, 0.1 / 0.9])
        assert bodies[0]["logprobs"] is True
        assert bodies[0]["top_logprobs"] == 20
        (shared,) = model.choose(["a"], [" place;", " plane;"])
    assert shared.log_probabilities == (-math.inf, 0.0)
    assert not shared.exact


@pytest.mark.parametrize("options", [[], [" a", " a b"], ["same", "same"]])
def test_options_that_cannot_be_chosen_among(options: list[str]) -> None:
    with serving(lambda *_: said("?")) as model, pytest.raises(ValueError, match="option"):
        model.choose(["a"], options)


@pytest.mark.parametrize(
    ("reply", "best"),
    [(" person;", 0), ("Person", 0), ("a person", None), ("", None), ("personal", None), ('"place of birth."', 2)],
)
def test_matching_a_free_reply(reply: str, best: int | None) -> None:
    assert match_option(reply, [" person;", " place;", " place of birth;"]) == best


# a server that misbehaves


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        ((500, "Internal error"), ModelUnavailableError, "answered 500: Internal error"),
        ((404, {"error": "no such model"}), ModelUnavailableError, "a model called 'big'"),
        ((401, f"wrong key {KEY}"), ModelUnavailableError, r"check the API key: wrong key \[key\]"),
        ((429, "slow down"), ModelUnavailableError, "lower `concurrency`"),
        ((400, {"error": "bad"}), ModelUnavailableError, "answered 400"),
        ((400, "the request exceeds the available context size"), PromptTooLongError, "does not fit"),
        ((400, "This model's maximum context length is 10 tokens"), PromptTooLongError, "does not fit"),
        ((200, '{"choices": [{"text": "ha'), BadReplyError, "ha"),
        ((200, "<html>Welcome</html>"), BadReplyError, "Welcome"),
        ((200, {"choices": []}), BadReplyError, "OpenAI-compatible"),
        ((200, {"choices": ["x"]}), BadReplyError, "OpenAI-compatible"),
        ((200, ["x"]), BadReplyError, "OpenAI-compatible"),
        ((200, "null"), BadReplyError, "null"),
        ((200, {"choices": [{"text": None}]}), BadReplyError, "no text"),
        ((200, {"choices": [{"text": "x" * 9999}, 1], "usage": {"prompt_tokens": "z"}}), BadReplyError, r"x\.\.\.$"),
    ],
)
def test_what_the_user_is_told(answer: Answer, kind: type[Exception], told: str) -> None:
    with serving(lambda *_: answer) as model, pytest.raises(kind, match=told) as caught:
        model.generate(["a"], Decoding(5))
    assert KEY not in str(caught.value)
    assert "http://127.0.0.1" in str(caught.value)


def test_it_asks_again_while_the_server_is_busy() -> None:
    answers = iter([(503, "loading"), (429, "wait"), said("there")])
    with serving(lambda *_: next(answers)) as model:
        assert model.generate(["a"], Decoding(5))[0].text == "there"


def test_a_server_that_hangs() -> None:
    def answer(*_: Any) -> Answer:
        time.sleep(0.5)
        return said("late")

    with (
        serving(answer, policy=RequestPolicy(timeout=0.1, retries=0)) as model,
        pytest.raises(ModelUnavailableError, match=r"within 0\.1 s"),
    ):
        model.generate(["a"], Decoding(5))


def test_no_server() -> None:
    model = OpenAIModel("m", "http://user:pass@127.0.0.1:9/v1", "big", KEY, policy=QUICK)
    with pytest.raises(ModelUnavailableError, match=r"cannot reach http://127\.0\.0\.1:9/v1/completions.*running"):
        model.generate(["a", "b"], Decoding(5))
    model.close()


# llama.cpp's own server, whose exact probabilities are known by another way


@pytest.fixture(scope="module")
def llama() -> Any:
    xllamacpp = pytest.importorskip("xllamacpp")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(pull(find_card("smollm2-135m"), platformdirs.user_cache_path("entsemble")))
    settings.n_ctx, settings.n_parallel, settings.verbosity, settings.ui = 512, 1, -1, False
    settings.warmup = False
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1  # other tests may run beside this one
    return xllamacpp.Server(settings)


PROMPT = "Types: person, personal effect, city.\nParis = city; umbrella = personal effect; Angela Merkel ="
TYPES = [" person;", " personal effect;", " city;", " political party;", " political system;"]


def exact(llama: Any, prompt: str, options: list[str]) -> list[float]:
    """Probabilities by the whole vocabulary's list at each branching of the options' tokens."""

    def tokens(text: str, special: bool) -> list[int]:
        body = {"content": text, "add_special": special}
        listed: list[int] = httpx.post(llama.listening_address + "/tokenize", json=body).json()["tokens"]
        return listed

    def score(branching: Branching) -> dict[int, float]:
        body = {"prompt": prompt_ids + list(branching.path), "max_tokens": 1, "temperature": 0, "logprobs": 49_152}
        entries = llama.handle_completions(body)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        scores = {entry["id"]: entry["logprob"] for entry in entries if entry["id"] in branching.next_tokens}
        log_total = math.log(sum(math.exp(value) for value in scores.values()))
        return {token: scores[token] - log_total for token in branching.next_tokens}

    prompt_ids, anchor_length = tokens(prompt, True), len(tokens("=", False))
    trie = TokenTrie([tuple(tokens("=" + option, False)[anchor_length:]) for option in options])
    return [math.exp(value) for value in trie.log_probabilities(score, missing_log_probability=-math.inf)]


@pytest.mark.models
def test_choose_against_exact_probabilities(llama: Any) -> None:
    model = OpenAIModel("smollm", llama.listening_address + "/v1", "any")
    (choice,) = model.choose([PROMPT], TYPES)
    model.close()
    told = [math.exp(value) for value in choice.log_probabilities]
    assert told == pytest.approx(exact(llama, PROMPT, TYPES), abs=0.01)
    assert sum(told) == pytest.approx(1)
    assert choice.exact
    assert choice.best_index == 0
    assert choice.usage.calls >= 2


@pytest.mark.models
@pytest.mark.parametrize("mode", ["guided", "text"])
def test_the_other_ways_choose_the_same(llama: Any, mode: Any) -> None:
    model = OpenAIModel("smollm", llama.listening_address + "/v1", "any", choose=mode)
    (choice,) = model.choose([PROMPT], [" person;", " city;", " personal effect;"])
    model.close()
    assert choice.log_probabilities == (0.0, -math.inf, -math.inf)
    assert not choice.exact


@pytest.mark.models
def test_generate_from_llama_cpp(llama: Any) -> None:
    model = OpenAIModel("smollm", llama.listening_address + "/v1", "any")
    reply = model.generate(["one two three four"], Decoding(3, stop=("nine",), grammar='root ::= " five six" "!"*'))[0]
    assert reply.text.startswith(" five six")
    assert 0 < reply.usage.generated_tokens <= 3
    with pytest.raises(PromptTooLongError):
        model.generate(["word " * 600], Decoding(3))
    model.close()
