"""How an OpenAI-compatible server's answers become a choice among options."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from entsemble.backends.openai.model import OpenAIModel, match_option
from entsemble.backends.openai.probe import ServerOptions
from entsemble.backends.option_trie import Branching, TokenTrie
from entsemble.errors import PromptTooLongError
from entsemble.types import Decoding
from tests.backends.openai.stand_in import CHAT, RAW_TEXT, Answer, completion, served_model

OPTIONS = [" person;", " place;", " none;"]

NEXT_TOKENS = {
    "": {" p": 0.4, " person": 0.3, " pl": 0.1, " n": 0.1, "x": 0.05},
    " pl": {"ace": 0.5, "ane": 0.25, "y": 0.2},
    " place": {";": 0.9, "x": 0.05},
    " plane": {";": 0.9},
    " n": {"one": 0.8},
}


def top_logprobs(prompt: str, form: str) -> Any:
    """The most probable next tokens in the format of completions or of chats."""
    top_tokens = {token: math.log(p) for token, p in NEXT_TOKENS.get(prompt.removeprefix("Text:"), {}).items()}
    if form == "completions":
        return {"tokens": ["?"], "token_logprobs": [-1.0], "top_logprobs": [top_tokens]}
    entries = [{"token": token, "logprob": value, "bytes": None} for token, value in top_tokens.items()]
    return {"content": [{"token": "?", "logprob": -1.0, "top_logprobs": entries}]}


@pytest.mark.parametrize("form", ["completions", "chat"])
def test_options_are_scored_by_walking_the_trie_of_listed_tokens(form: str) -> None:
    prompts: list[str] = []

    def answer(_: str, body: dict[str, Any]) -> Answer:
        prompts.append(body["prompt"])
        assert body["max_tokens"] == 1
        return completion("?", logprobs=top_logprobs(body["prompt"], form))

    with served_model(answer) as model:
        (choice,) = model.choose(["Text:"], [" person;", " place;", " plane;", " none;"])
    # " person" 0.3, " pl" 0.1 of which "ace" 2/3, " n" 0.1: the longest token that an option begins with counts
    expected = [0.3 / 0.5, 0.1 / 0.5 * 2 / 3, 0.1 / 0.5 / 3, 0.1 / 0.5]
    assert [math.exp(value) for value in choice.log_probabilities] == pytest.approx(expected)
    assert choice.exact
    assert prompts == ["Text:", "Text: pl"]
    assert choice.usage.calls == 2


def test_an_option_whose_token_is_not_listed_gets_half_of_the_least_possible_probability() -> None:
    with served_model(lambda _, body: completion("?", logprobs=top_logprobs(body["prompt"], "completions"))) as model:
        (choice,) = model.choose(["Text:"], [" person;", " zebra;"])
        (single,) = model.choose(["Text:"], [" person;"])
    # half of the least listed, 0.05: all that the list leaves over is 0.05 too
    assert [math.exp(v) for v in choice.log_probabilities] == pytest.approx([0.3 / 0.325, 0.025 / 0.325])
    assert single.log_probabilities == (0.0,)


def test_tokens_that_extend_an_option_count_for_it() -> None:
    top = {" person;\n": math.log(0.5), " person; ": math.log(0.1), " place;": math.log(0.3)}
    with served_model(lambda *_: completion("?", logprobs={"top_logprobs": [top]})) as model:
        (choice,) = model.choose(["Text:"], [" person;", " place;"])
    assert [math.exp(v) for v in choice.log_probabilities] == pytest.approx([0.6 / 0.9, 0.3 / 0.9])


def test_a_guided_answer_is_restricted_to_the_options() -> None:
    bodies: list[dict[str, Any]] = []

    def answer(_: str, body: dict[str, Any]) -> Answer:
        bodies.append(body)
        return completion(" place;")

    with served_model(answer, replace(RAW_TEXT, guidance="choice")) as model:
        [choice] = model.choose(["a"], OPTIONS)
    assert choice.best_index == 1
    assert not choice.exact
    [body] = bodies  # answers do not vary: one is enough
    assert body["structured_outputs"] == {"choice": OPTIONS}
    assert body["guided_choice"] == OPTIONS
    assert body["grammar"] == 'root ::= " person;" | " place;" | " none;"'


@pytest.mark.parametrize("text", ['{"answer": "place;"}', '"place;"', " place;"])
def test_an_answer_by_schema_is_json(text: str) -> None:
    with served_model(lambda *_: completion(text), replace(RAW_TEXT, guidance="schema")) as model:
        assert model.choose(["a"], OPTIONS)[0].best_index == 1


def test_a_vote_on_a_few_answers_is_never_certain() -> None:
    bodies: list[dict[str, Any]] = []
    texts = iter([" place;", " place;", " person;", " place;", " I do not know"])

    def answer(_: str, body: dict[str, Any]) -> Answer:
        bodies.append(body)
        return completion(next(texts))

    with served_model(answer, replace(RAW_TEXT, sampling_fields={"top_k": 0})) as model:
        [choice] = model.choose(["a"], OPTIONS)
    # three places, one person, and two thirds for each: what names no option, and one answer more, are divided
    expected = [(1 + 2 / 3) / 6, (3 + 2 / 3) / 6, (2 / 3) / 6]
    assert [math.exp(value) for value in choice.log_probabilities] == pytest.approx(expected)
    assert not choice.exact
    assert [(body["temperature"], body.get("seed")) for body in bodies] == [
        (0, None),
        *[(1, seed) for seed in (1, 2, 3, 4)],
    ]
    assert "top_k" not in bodies[0]
    assert bodies[1]["top_k"] == 0


def test_a_single_answer_is_an_uncertain_vote() -> None:
    with served_model(lambda *_: completion(" Place.\nText: more"), RAW_TEXT) as model:
        [choice] = model.choose(["a"], OPTIONS)
        assert [math.exp(value) for value in choice.log_probabilities] == pytest.approx([1 / 6, 4 / 6, 1 / 6])
        assert model.choose(["a"], [" city;", " dog;"])[0].log_probabilities == pytest.approx([-math.log(2)] * 2)


def test_log_probabilities_that_are_missing_once_are_replaced_by_answers() -> None:
    with served_model(lambda *_: completion(" place;", logprobs=None)) as model:
        [choice] = model.choose(["a"], OPTIONS)
    assert choice.best_index == 1
    assert not choice.exact


def test_a_chat_scores_the_first_token_only() -> None:
    bodies: list[dict[str, Any]] = []
    top = [{"token": token, "logprob": math.log(p)} for token, p in {"person": 0.6, "pl": 0.2, "none": 0.1}.items()]

    def answer(_: str, body: dict[str, Any]) -> Answer:
        bodies.append(body)
        message = {"content": "plane"}
        return 200, {"choices": [{"message": message, "logprobs": {"content": [{"top_logprobs": top}]}}]}

    with served_model(answer, CHAT) as model:
        (choice,) = model.choose(["a"], OPTIONS)
        assert [math.exp(v) for v in choice.log_probabilities] == pytest.approx([0.6 / 0.9, 0.2 / 0.9, 0.1 / 0.9])
        assert bodies[0]["logprobs"] is True
        assert bodies[0]["top_logprobs"] == 20
        (shared,) = model.choose(["a"], [" place;", " plane;"])
    assert shared.best_index == 1
    assert not shared.exact


@pytest.mark.parametrize("options", [[], [" a", " a b"], ["same", "same"]])
def test_options_must_exist_and_be_no_prefixes_of_each_other(options: list[str]) -> None:
    with served_model(lambda *_: completion("?")) as model, pytest.raises(ValueError, match="option"):
        model.choose(["a"], options)


@pytest.mark.parametrize(
    ("reply", "best"),
    [(" person;", 0), ("Person", 0), ("a person", None), ("", None), ("personal", None), ('"place of birth."', 2)],
)
def test_a_free_reply_matches_the_longest_option_that_it_begins_with(reply: str, best: int | None) -> None:
    assert match_option(reply, [" person;", " place;", " place of birth;"]) == best


# against the exact probabilities of llama.cpp's own server


@pytest.fixture(scope="module")
def llama(model_file: Callable[[str], Path]) -> Any:
    xllamacpp = pytest.importorskip("xllamacpp")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(model_file("smollm2-135m"))
    settings.n_ctx, settings.n_parallel, settings.verbosity, settings.ui = 512, 1, -1, False
    settings.warmup = False
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1  # other tests may run beside this one
    return xllamacpp.Server(settings)


PROMPT = "Types: person, personal effect, city.\nParis = city; umbrella = personal effect; Angela Merkel ="
TYPES = [" person;", " personal effect;", " city;", " political party;", " political system;"]


def exact_probabilities(llama: Any, prompt: str, options: list[str]) -> list[float]:
    """Probabilities by the whole vocabulary's list at each branching of the options' tokens."""

    def tokens(text: str, special: bool) -> list[int]:
        body = {"content": text, "add_special": special}
        token_ids: list[int] = httpx.post(llama.listening_address + "/tokenize", json=body).json()["tokens"]
        return token_ids

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
def test_scores_are_the_exact_probabilities(llama: Any) -> None:
    model = OpenAIModel("smollm", llama.listening_address + "/v1", "any")
    (choice,) = model.choose([PROMPT], TYPES)
    model.close()
    probabilities = [math.exp(value) for value in choice.log_probabilities]
    assert probabilities == pytest.approx(exact_probabilities(llama, PROMPT, TYPES), abs=0.01)
    assert sum(probabilities) == pytest.approx(1)
    assert choice.exact
    assert choice.best_index == 0
    assert choice.usage.calls >= 2


@pytest.mark.models
@pytest.mark.parametrize("mode", ["guided", "text"])
def test_other_ways_choose_the_same_option(llama: Any, mode: Any) -> None:
    options = ServerOptions(option_scoring=mode)
    model = OpenAIModel("smollm", llama.listening_address + "/v1", "any", options=options)
    (choice,) = model.choose([PROMPT], [" person;", " city;", " personal effect;"])
    model.close()
    assert choice.best_index == 0
    assert not choice.exact


@pytest.mark.models
def test_llama_cpp_s_server_generates_under_a_grammar(llama: Any) -> None:
    model = OpenAIModel("smollm", llama.listening_address + "/v1", "any")
    reply = model.generate(["one two three four"], Decoding(3, stop=("nine",), grammar='root ::= " five six" "!"*'))[0]
    assert reply.text.startswith(" five six")
    assert 0 < reply.usage.generated_tokens <= 3
    with pytest.raises(PromptTooLongError):
        model.generate(["word " * 600], Decoding(3))
    model.close()
