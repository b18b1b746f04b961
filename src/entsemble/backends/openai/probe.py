"""What a server does, found out by a few short requests before the first real one.

Servers that call themselves OpenAI-compatible put raw prompts in chat templates, accept fields and ignore them, or list
no log-probabilities, without saying so. Each of these would turn into a wrong vote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from entsemble.backends.openai.completion import Completion
from entsemble.backends.openai.endpoint import Endpoint, NoRouteError, RejectedError
from entsemble.backends.openai.option_logprobs import parse_top_tokens
from entsemble.backends.openai.routes import (
    ChatRoute,
    CompletionsRoute,
    Guidance,
    OllamaRoute,
    Request,
    Route,
    joined,
    option_text,
    root,
)
from entsemble.errors import BadReplyError, ConfigError, ModelError

Api = Literal["auto", "completions", "chat", "ollama"]
OptionScoring = Literal["auto", "logprobs", "guided", "text"]

_PATTERN = "Text: one two three\n" * 5 + "Text: one two"
_CHAT_PATTERN = "Text: one two three\n\n" * 5 + "Text: one two"
_CONTINUATION = "three"
"""How every language model continues either pattern, unless a chat template surrounds it."""
_CONTINUATION_TOKENS, _PATTERN_TOKENS = 4, 12

_SHORT_PROMPT, _MAX_RAW_TOKENS = "a", 3
"""One token, and at most two that begin a text. Every chat template adds more."""

_OPEN_PROMPT = "The"
"""After which several tokens are likely, and several samples differ."""
_SAMPLES, _SAMPLE_TOKENS = 4, 6

_TOP_TOKENS = (20, 5)
"""Numbers of tokens to list, tried in this order: the most that vLLM and OpenAI's chat list by default, and the most
that OpenAI's completions list."""
_MIN_SECOND_LOGPROB = -25.0
"""Of the second most probable token after the open prompt. Servers that list the probabilities of a greedy choice give
all others none."""

_OPTIONS = (" zulu 7;", " quebec 4;")
_GRAMMAR = 'root ::= " zulu" " 7"'
"""What no model writes after the pattern unless it has to."""

_SAMPLING_FIELDS: tuple[Mapping[str, Any], ...] = ({}, {"generation_config": '{"do_sample": true}'})
"""What a server needs to sample, tried in this order: a temperature alone, and what `transformers serve` needs too."""

_SHOWN_MODELS = 10
"""Names of models that an error lists."""

_SERVERS = {
    "vllm": "vLLM",
    "llamacpp": "llama.cpp",
    "sglang": "SGLang",
    "library": "Ollama",
    "organization_owner": "LM Studio",
}
"""Owner of a server's models, as it lists them -> the server's name."""


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """What a server does.

    Attributes:
        route: how prompts are put to it.
        server: its name, as far as it is known.
        top_tokens: how many tokens it lists with log-probabilities; 0 for none.
        guidance: how it is made to answer with one of several options; `None` if it cannot be.
        has_grammars: whether its answers follow a grammar.
        sampling_fields: what it needs besides a temperature to sample; `None` if its answers never vary.
        ignored: fields that it accepts and ignores.
    """

    route: Route
    server: str = ""
    top_tokens: int = 0
    guidance: Guidance | None = None
    has_grammars: bool = False
    sampling_fields: Mapping[str, Any] | None = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def describe(self, samples: int) -> str:
        """One line for the user.

        Args:
            samples: answers that are requested for a choice, if they vary.
        """
        answers = f"{samples} answers" if self.sampling_fields is not None and samples > 1 else "one answer"
        if self.top_tokens:
            scoring = f"log-probabilities of {self.top_tokens} tokens"
        elif self.guidance:
            scoring = f"no log-probabilities: types by {answers}, restricted to the labels"
        else:
            scoring = f"no log-probabilities: types by {answers} in free text"
        features = [self.route.description, scoring, "grammars" if self.has_grammars else "no grammars"]
        ignored = f"; ignores {', '.join(self.ignored)}" if self.ignored else ""
        return f"{self.server + ', ' if self.server else ''}{', '.join(features)}{ignored}"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server is used.

    Attributes:
        api: `completions` sends prompts as they are, `chat` in the model's chat template, `ollama` as they are through
            Ollama's own interface; `auto` takes the first of these that works, raw prompts before chats.
        option_scoring: how options are scored; `auto` finds out what the server supports.
        samples: answers for a choice, from a server without log-probabilities.
        context: tokens of a prompt and its reply; only Ollama needs it.
    """

    api: Api = "auto"
    option_scoring: OptionScoring = "auto"
    samples: int = 5
    context: int = 4096


def probe_server(endpoint: Endpoint, options: ServerOptions, *, retries: bool = False) -> ServerProfile:
    """What the server does with a model.

    Args:
        endpoint: the model at its server.
        options: how the server is to be used; what that does not need is not found out.
        retries: whether a server that is busy or down is tried again, as the endpoint's policy says.

    Raises:
        ModelUnavailableError: the server cannot be reached, is busy, or has no such model.
        BadReplyError: its answers are not those of an OpenAI-compatible server.
        ConfigError: it cannot do what the settings demand.
    """
    return _Probe(endpoint, options.context, retries=retries).profile(options.api, options.option_scoring)


class _Probe:
    def __init__(self, endpoint: Endpoint, context: int, *, retries: bool) -> None:
        self._endpoint, self._context, self._retries = endpoint, context, retries
        self._address, self._base_url = endpoint.client.address, endpoint.client.base_url
        self._ignored: list[str] = []

    def profile(self, api: Api, option_scoring: OptionScoring) -> ServerProfile:
        route = self._find_route(api)
        top_tokens = self._count_top_tokens(route) if option_scoring in ("auto", "logprobs") else 0
        guidance: Guidance | None = None
        sampling_fields: Mapping[str, Any] | None = {}
        if not top_tokens:
            if option_scoring == "logprobs":
                raise ConfigError(
                    f'{self._address} lists no log-probabilities; set option_scoring to "auto" or "guided"'
                )
            guidance = self._find_guidance(route) if option_scoring != "text" else None
            if option_scoring == "guided" and guidance is None:
                raise ConfigError(
                    f"{self._address} cannot be made to answer with one of the labels; set option_scoring to "
                    '"auto" or "text"'
                )
            sampling_fields = self._find_sampling_fields(route)
        return ServerProfile(
            route,
            self._server_name(),
            top_tokens,
            guidance,
            self._follows_grammar(route),
            sampling_fields,
            tuple(self._ignored),
        )

    def _find_route(self, api: Api) -> Route:
        refusals: list[ModelError] = []
        for route in self._routes(api):
            self._ignored.clear()
            try:
                if self._is_usable(route):
                    return route
            except (NoRouteError, RejectedError, BadReplyError) as error:
                refusals.append(error)
        if refusals:
            names = self._model_names()
            if names and self._endpoint.model not in names and isinstance(refusals[-1], NoRouteError):
                listed = ", ".join(names[:_SHOWN_MODELS]) + (", ..." if len(names) > _SHOWN_MODELS else "")
                raise NoRouteError(f"{self._address} has no model {self._endpoint.model!r}; it has {listed}")
            raise refusals[-1]
        other = "ollama" if self._is_ollama() else "chat"
        raise ConfigError(
            f'{self._address} puts prompts in a chat template, although api is "{api}"; set api to "{other}"'
        )

    def _routes(self, api: Api) -> Iterator[Route]:
        """The routes to try, in this order."""
        if api == "ollama" or (api == "auto" and self._is_ollama()):
            yield OllamaRoute(self._context)
        if api in ("auto", "completions"):
            yield CompletionsRoute()
        if api in ("auto", "chat"):
            for prefill in ("flagged", "plain"):
                yield ChatRoute(prefill)
            yield ChatRoute()

    def _is_usable(self, route: Route) -> bool:
        """Whether the server does what the route's description says."""
        stop = ("\n",) if route.can_continue else ()
        pattern = _CHAT_PATTERN if isinstance(route, ChatRoute) else _PATTERN
        request = Request(pattern, _PATTERN_TOKENS, stop)
        completion = self._endpoint.ask(route, request, once=not self._retries)
        if completion.text is None:
            raise BadReplyError(f"the answers of {self._endpoint.address(route)} have no text")
        if completion.usage.generated_tokens > _PATTERN_TOKENS:
            self._ignored.append("max_tokens")
        if any(text in completion.text[: -len(text)] for text in stop):
            self._ignored.append("stop")
        continues = completion.text.strip().startswith(_CONTINUATION)
        if isinstance(route, ChatRoute):  # a model that repeats the message's beginning generates more tokens
            return route.prefill is None or (
                continues and 0 < completion.usage.generated_tokens <= _CONTINUATION_TOKENS
            )
        short = self._ask(route, Request(_SHORT_PROMPT, 1))
        if short.usage.prompt_tokens:
            return short.usage.prompt_tokens <= _MAX_RAW_TOKENS
        return continues

    def _count_top_tokens(self, route: Route) -> int:
        """How many tokens the server lists with log-probabilities that can be used."""
        for count in _TOP_TOKENS:
            try:
                completion = self._ask(route, Request(_OPEN_PROMPT, 1, top_tokens=count))
                top_tokens = parse_top_tokens(completion.logprobs)
            except (RejectedError, ValueError):
                continue
            ranked = sorted(top_tokens, key=top_tokens.__getitem__, reverse=True)
            if len(ranked) < 2 or top_tokens[ranked[1]] < _MIN_SECOND_LOGPROB:
                continue
            written = (completion.text or "").strip()
            if not written or any(written.startswith(token.strip()) for token in ranked[:2] if token.strip()):
                return count
        return 0

    def _find_guidance(self, route: Route) -> Guidance | None:
        for guidance in self._guidances(route):
            request = Request(_PATTERN, 24, options=_OPTIONS, guidance=guidance)
            answer = option_text(self._text_or_empty(route, request)).strip()
            if answer in {option.strip() for option in _OPTIONS}:
                return guidance
        return None

    @staticmethod
    def _guidances(route: Route) -> Sequence[Guidance]:
        return ("schema",) if isinstance(route, OllamaRoute) else ("choice", "schema")

    def _find_sampling_fields(self, route: Route) -> Mapping[str, Any] | None:
        """What makes the server's answers vary."""
        for fields in _SAMPLING_FIELDS:
            requests = (
                Request(_OPEN_PROMPT, _SAMPLE_TOKENS, temperature=1.0, seed=seed, sampling_fields=fields)
                for seed in range(_SAMPLES)
            )
            if len({self._text_or_empty(route, request) for request in requests} - {""}) > 1:
                return fields
        return None

    def _follows_grammar(self, route: Route) -> bool:
        if isinstance(route, OllamaRoute):
            return False
        return self._text_or_empty(route, Request(_PATTERN, 12, grammar=_GRAMMAR)).strip() == "zulu 7"

    def _text_or_empty(self, route: Route, request: Request) -> str:
        """The text of an answer; none if the server does not support the request."""
        try:
            return self._ask(route, request).text or ""
        except (RejectedError, BadReplyError):
            return ""

    def _ask(self, route: Route, request: Request) -> Completion:
        return self._endpoint.ask(route, request, once=True)

    def _is_ollama(self) -> bool:
        version = self._get(joined(root(self._base_url), "/api/version"))
        return isinstance(version, dict) and isinstance(version.get("version"), str)

    def _server_name(self) -> str:
        owners = [model.get("owned_by") for model in self._models()]
        return next((_SERVERS[owner] for owner in owners if isinstance(owner, str) and owner in _SERVERS), "")

    def _model_names(self) -> list[str]:
        return [name for model in self._models() if isinstance(name := model.get("id"), str)]

    def _models(self) -> list[Mapping[str, Any]]:
        """The server's list of models; empty if it has none."""
        answer = self._get(joined(self._base_url, "/models"))
        models = answer.get("data") if isinstance(answer, dict) else None
        return [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []

    def _get(self, url: httpx.URL) -> object:
        """What the server answers there, if it is JSON."""
        try:
            answer = self._endpoint.client.try_once(url)
            return answer.json() if answer.is_success else None
        except (ModelError, ValueError):
            return None
