"""Replies of an OpenAI-compatible server, and its errors."""

from __future__ import annotations

import time
from typing import Any

import pytest

from entsemble.backends.openai.client import RequestPolicy
from entsemble.backends.openai.model import OpenAIModel
from entsemble.errors import BadReplyError, ConfigError, ModelUnavailableError, PromptTooLongError
from entsemble.protocols import LanguageModel
from entsemble.types import Decoding, Usage
from tests.backends.openai.stand_in import API_KEY, CHAT, NO_WAIT, RAW, Answer, completion, served_model


def test_it_is_a_language_model() -> None:
    model = OpenAIModel("m", "http://localhost:1/v1/", "big", API_KEY)
    assert isinstance(model, LanguageModel)
    assert (model.name, model.parameters) == ("m", None)
    other = OpenAIModel("m", "http://localhost:1/v1", "bigger", API_KEY)
    assert model.fingerprint != other.fingerprint
    assert API_KEY not in repr(model) + model.fingerprint
    model.close()
    other.close()


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://host/v1", "http://"])
def test_a_base_url_that_is_not_valid_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match="http://HOST:PORT/v1"):
        OpenAIModel("m", url, "big")


def test_replies_come_in_the_order_of_the_prompts() -> None:
    bodies: list[dict[str, Any]] = []

    def answer(path: str, body: dict[str, Any]) -> Answer:
        assert path == "/v1/completions"
        bodies.append(body)
        time.sleep(0.05 if body["prompt"] == "a" else 0)  # the first comes back last
        return completion("re " + body["prompt"], finish_reason="length" if body["prompt"] == "b" else "stop")

    with served_model(answer) as model:
        replies = model.generate(["a", "b", "c"], Decoding(9, stop=("\n",), grammar='root ::= "x"'))
        assert model.generate([], Decoding(1)) == []
    assert [reply.text for reply in replies] == ["re a", "re b", "re c"]
    assert [reply.finished for reply in replies] == [True, False, True]
    usage = replies[0].usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.generated_tokens, usage.calls) == (7, 5, 3, 1)
    assert usage.seconds >= 0.05
    assert bodies[0]["model"] == "big"
    assert (bodies[0]["max_tokens"], bodies[0]["temperature"], bodies[0]["stop"]) == (9, 0, ["\n"])
    assert bodies[0]["grammar"] == bodies[0]["structured_outputs"]["grammar"] == 'root ::= "x"'


def test_a_reply_whose_grammar_is_refused_is_requested_without_it() -> None:
    sent_grammars: list[bool] = []

    def answer(_: str, body: dict[str, Any]) -> Answer:
        sent_grammars.append("grammar" in body)
        return (400, {"error": {"message": "no such character"}}) if "grammar" in body else completion("x")

    with served_model(answer) as model:
        assert model.generate(["a"], Decoding(9, grammar='root ::= "x"'))[0].text == "x"
    assert sent_grammars == [True, False]


@pytest.mark.parametrize("text", [" Ann |\nText: more", " Ann |\n"])
def test_a_reply_ends_at_a_stop_string_even_if_the_server_ignores_it(text: str) -> None:
    with served_model(lambda *_: completion(text, finish_reason="length")) as model:
        [reply] = model.generate(["a"], Decoding(9, stop=("\n",)))
    assert (reply.text, reply.finished) == (" Ann |", True)


def test_a_chat_sends_each_prompt_as_a_user_message() -> None:
    def answer(path: str, body: dict[str, Any]) -> Answer:
        assert path == "/v1/chat/completions"
        [message] = body["messages"]
        assert message["role"] == "user"
        assert message["content"].endswith("on one line.\n\nhello")
        return 200, {"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}

    with served_model(answer, CHAT) as model:
        (reply,) = model.generate(["hello"], Decoding(9))
    assert (reply.text, reply.finished) == ("hi", True)
    assert reply.usage == Usage(seconds=reply.usage.seconds, calls=1)


# errors


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ((500, "Internal error"), ModelUnavailableError, "answered 500: Internal error"),
        ((404, {"error": "no such model"}), ModelUnavailableError, "a model called 'big'"),
        ((401, f"wrong key {API_KEY}"), ModelUnavailableError, r"check the API key: wrong key \[key\]"),
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
def test_an_error_names_the_address_and_hides_the_key(answer: Answer, kind: type[Exception], message: str) -> None:
    with served_model(lambda *_: answer) as model, pytest.raises(kind, match=message) as raised:
        model.generate(["a"], Decoding(5))
    assert API_KEY not in str(raised.value)
    assert "http://127.0.0.1" in str(raised.value)


def test_a_busy_server_is_tried_again() -> None:
    answers = iter([(503, "loading"), (429, "wait"), completion("there")])
    with served_model(lambda *_: next(answers)) as model:
        assert model.generate(["a"], Decoding(5))[0].text == "there"


def test_a_server_that_is_too_slow_is_unavailable() -> None:
    def answer(*_: Any) -> Answer:
        time.sleep(0.5)
        return completion("late")

    with (
        served_model(answer, policy=RequestPolicy(timeout=0.1, retries=0)) as model,
        pytest.raises(ModelUnavailableError, match=r"within 0\.1 s"),
    ):
        model.generate(["a"], Decoding(5))


def test_an_address_without_a_server_is_unavailable() -> None:
    model = OpenAIModel("m", "http://user:pass@127.0.0.1:9/v1", "big", API_KEY, policy=NO_WAIT, profile=RAW)
    with pytest.raises(ModelUnavailableError, match=r"cannot reach http://127\.0\.0\.1:9/v1/completions.*running"):
        model.generate(["a", "b"], Decoding(5))
    model.close()
