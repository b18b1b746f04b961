"""What a server does is found out, and what it cannot do is refused or done in another way."""

from __future__ import annotations

import math
from typing import Any

import pytest

from entsemble.backends.openai.model import OpenAIModel
from entsemble.backends.openai.probe import Api, ServerOptions
from entsemble.backends.openai.routes import ChatRoute, CompletionsRoute, OllamaRoute
from entsemble.errors import BadReplyError, ConfigError, ModelUnavailableError
from entsemble.types import Decoding
from tests.backends.openai.simulated import LABELS, SimulatedServer
from tests.backends.openai.stand_in import API_KEY, NO_WAIT, served_model

EXAMPLE = "Entity types: person, place.\n\nText: Bo left.\nEntities: Bo\nTypes: Bo = person;"
PROMPT = EXAMPLE + "\n\nText: Ann left Oslo.\nEntities:"
TYPING = PROMPT + " Ann | Oslo\nTypes: Oslo ="
OPTIONS = [f" {label};" for label in (*LABELS, "none")]

SERVERS: dict[str, tuple[dict[str, Any], str]] = {
    "vLLM": ({}, "vLLM, raw prompts, log-probabilities of 20 tokens, grammars"),
    "five tokens": ({"max_top_tokens": 5}, "vLLM, raw prompts, log-probabilities of 5 tokens, grammars"),
    "transformers serve": (
        {"owner": "", "is_strict": True, "logprobs": "ignored", "varies": False, "has_grammars": False},
        "raw prompts, no log-probabilities: types by one answer in free text, no grammars",
    ),
    "LM Studio": (
        {"owner": "organization_owner", "logprobs": "null", "guidance": ("response_format",), "has_grammars": False},
        "LM Studio, raw prompts, no log-probabilities: types by 5 answers, restricted to the labels, no grammars",
    ),
    "Ollama": (
        {"owner": "library", "is_ollama": True, "templates": True},
        "Ollama, raw prompts by /api/generate, log-probabilities of 20 tokens, no grammars",
    ),
    "old Ollama": (
        {"owner": "library", "is_ollama": True, "templates": True, "logprobs": "ignored", "guidance": ("format",)},
        "Ollama, raw prompts by /api/generate, no log-probabilities: types by 5 answers, restricted to the labels, "
        "no grammars",
    ),
    "templates": ({"owner": "", "templates": True}, "chat template, log-probabilities of 20 tokens, grammars"),
    "templates, uncounted": (
        {"owner": "", "templates": True, "counts_tokens": False, "has_grammars": False},
        "chat template, log-probabilities of 20 tokens, no grammars",
    ),
    "chat alone": (
        {"owner": "", "has_completions": False, "prefill": "flagged"},
        "chat template, answers continued, log-probabilities of 20 tokens, grammars",
    ),
    "chat that repeats": (
        {"owner": "llamacpp", "has_completions": False, "prefill": "plain", "repeats_prefill": True},
        "llama.cpp, chat template, answers continued, log-probabilities of 20 tokens, grammars",
    ),
    "greedy log-probabilities": (
        {"owner": "", "logprobs": "greedy", "guidance": (), "has_grammars": False},
        "raw prompts, no log-probabilities: types by 5 answers in free text, no grammars",
    ),
    "ignores limits": (
        {"owner": "", "ignores": ("stop", "max_tokens")},
        "raw prompts, log-probabilities of 20 tokens, grammars; ignores max_tokens, stop",
    ),
}


@pytest.mark.parametrize("name", SERVERS)
def test_one_line_says_what_a_server_does(name: str) -> None:
    arguments, line = SERVERS[name]
    server = SimulatedServer({"Ann": "person", "Oslo": "place"}, **arguments)
    lines: list[str] = []
    with served_model(server, None, announce=lines.append) as model:
        model.probe()
        [reply] = model.generate([PROMPT], Decoding(20, stop=("\n",)))
        [choice] = model.choose([TYPING], OPTIONS)
    [announced] = lines
    address, _, found = announced.partition("/v1: ")
    assert address.startswith("m at http://127.0.0.1:")
    assert found == line
    assert [surface.strip() for surface in reply.text.split("|")] == ["Ann", "Oslo"]
    assert choice.exact == ("log-probabilities of" in line)
    assert max(choice.log_probabilities) < math.log(0.99)
    if choice.exact or "free text" in line:
        assert OPTIONS[choice.best_index] == " place;"


def test_probing_takes_few_requests_and_sends_nothing_of_the_user() -> None:
    server = SimulatedServer()
    with served_model(server, None) as model:
        model.probe()
        probes = len(server.requests)
        model.choose([TYPING], OPTIONS)
        model.choose([TYPING], OPTIONS)
    assert probes <= 4
    assert len(server.requests) == probes + 2
    assert all(body["max_tokens"] <= 24 and len(body["prompt"]) < 200 for _, body in server.requests[:probes])


@pytest.mark.parametrize(
    ("api", "arguments", "route"),
    [
        ("completions", {}, CompletionsRoute()),
        ("chat", {}, ChatRoute()),
        ("chat", {"prefill": "flagged"}, ChatRoute("flagged")),
        ("chat", {"prefill": "plain", "repeats_prefill": True}, ChatRoute("plain")),
        ("ollama", {"is_ollama": True}, OllamaRoute(4096)),
    ],
)
def test_an_interface_can_be_demanded(api: Api, arguments: dict[str, Any], route: object) -> None:
    with served_model(SimulatedServer(**arguments), None, options=ServerOptions(api)) as model:
        profile = model.probe()
    if isinstance(route, ChatRoute) and route.prefill == "plain":  # a server that always continues ignores the flags
        assert isinstance(profile.route, ChatRoute)
        assert profile.route.can_continue
    else:
        assert profile.route == route


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        (ServerOptions("completions"), {"templates": True}, r'puts prompts in a chat template.*; set api to "chat"'),
        (ServerOptions("completions"), {"templates": True, "is_ollama": True}, 'set api to "ollama"'),
        (ServerOptions(option_scoring="logprobs"), {"logprobs": "null"}, "lists no log-probabilities"),
        (ServerOptions(option_scoring="logprobs"), {"logprobs": "greedy"}, "lists no log-probabilities"),
        (ServerOptions(option_scoring="guided"), {"guidance": ()}, "cannot be made to answer with one of the labels"),
    ],
)
def test_what_a_server_cannot_do_is_refused(options: ServerOptions, arguments: dict[str, Any], message: str) -> None:
    with (
        served_model(SimulatedServer(**arguments), None, options=options) as model,
        pytest.raises(ConfigError, match=message),
    ):
        model.probe()


def test_a_model_that_the_server_does_not_have_is_an_error_that_lists_those_it_has() -> None:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return (200, {"data": [{"id": "qwen"}, {"id": "phi"}]}) if not body else (404, "no such model")

    with (
        served_model(answer, None) as model,
        pytest.raises(ModelUnavailableError, match=r"no model 'big'; .* qwen, phi"),
    ):
        model.probe()


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_a_server_that_does_not_answer_yet_is_probed_again(status: int) -> None:
    server, refusals = SimulatedServer(), iter([status, status])

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        refusal = next(refusals, 0) if body else 0
        return (refusal, "not now") if refusal else server(path, body)

    with served_model(answer, None) as model:
        for _ in range(2):
            with pytest.raises(ModelUnavailableError, match=str(status)):
                model.probe()
        assert model.probe().top_tokens == 20


def test_a_busy_server_is_probed_again_at_once_if_it_is_needed() -> None:
    server, refusals = SimulatedServer(), iter([503, 429])

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        refusal = next(refusals, 0) if body else 0
        return (refusal, "not now") if refusal else server(path, body)

    with served_model(answer, None) as model:
        assert model.choose([TYPING], OPTIONS)[0].exact


def test_answers_without_text_are_an_error() -> None:
    with (
        served_model(lambda *_: (200, {"choices": [{"text": None}]}), None) as model,
        pytest.raises(BadReplyError, match="no text"),
    ):
        model.probe()


def test_prompts_are_never_cut_by_ollama() -> None:
    server = SimulatedServer(is_ollama=True)
    with served_model(server, None, options=ServerOptions(context=8192)) as model:
        model.generate([PROMPT], Decoding(20, stop=("\n",)))
    path, body = server.requests[-1]
    assert path == "/api/generate"
    assert (body["truncate"], body["options"]["num_ctx"]) == (False, 8192)
    assert (body["options"]["num_predict"], body["options"]["stop"]) == (20, ["\n"])


def test_a_prompts_last_paragraph_is_the_beginning_of_a_continued_answer() -> None:
    server = SimulatedServer(has_completions=False, prefill="flagged")
    with served_model(server, None) as model:
        model.choose([TYPING], OPTIONS)
    [user, assistant] = server.requests[-1][1]["messages"]
    assert user["content"].endswith("Bo = person;")
    assert assistant == {"role": "assistant", "content": "Text: Ann left Oslo.\nEntities: Ann | Oslo\nTypes: Oslo ="}


def test_the_fingerprint_does_not_depend_on_whether_the_server_is_up() -> None:
    with served_model(SimulatedServer(), None) as model:
        before = model.fingerprint
        model.probe()
        assert model.fingerprint == before
    url = "http://127.0.0.1:9/v1"
    models = [
        OpenAIModel("m", url, "big", API_KEY, policy=NO_WAIT, options=ServerOptions(samples=count)) for count in (3, 5)
    ]
    assert models[0].fingerprint != models[1].fingerprint
    for model in models:
        model.close()
