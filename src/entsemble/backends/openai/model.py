"""A model behind an OpenAI-compatible server.

Such servers are vLLM, llama.cpp's server, Ollama, LM Studio and OpenAI itself. `choose` uses the best method that the
server supports. *Log-probabilities*: exact but for tokens that the server does not list, see `option_logprobs`.
*Guided*: the server is made to answer with one of the options. *Text*: it may answer anything, and the answer is
matched to the options. The last two give no probabilities.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, Literal, TypeVar

import httpx

from entsemble.backends.control_tokens import defuse
from entsemble.backends.openai.client import Client, RequestPolicy
from entsemble.backends.openai.completion import Completion, parse_completion
from entsemble.backends.openai.exchange import Answer
from entsemble.backends.openai.option_logprobs import parse_top_tokens, score_options
from entsemble.errors import BadReplyError, ConfigError, ModelUnavailableError, PromptTooLongError
from entsemble.types import Choice, Decoding, Reply, Usage, total_usage

Api = Literal["completions", "chat"]
OptionScoring = Literal["auto", "logprobs", "guided", "text"]
Feature = Literal["grammar", "logprobs", "guided"]
Result = TypeVar("Result")

_TOP_TOKENS = 20
"""Tokens requested at each branching: the most that vLLM and OpenAI's chat list by default."""
_TOP_TOKENS_OF_COMPLETIONS = 5
"""The most that OpenAI's completions list."""
_MAX_CHARACTERS_PER_TOKEN = 64
"""Of a reply; the rest is cut off, since a server may ignore the limit of tokens. Ordinary tokens have about four."""
_TOO_LONG = re.compile(
    r"context.{0,40}(length|size|window)|exceed.{0,40}context|too many tokens", re.IGNORECASE | re.DOTALL
)


class _UnsupportedError(ModelUnavailableError):
    """The server rejected a request because of something in it that it does not support."""


class OpenAIModel:
    """A `LanguageModel` over HTTP.

    Args:
        name: how the user calls it.
        base_url: up to and including `/v1`.
        model: its name at the server.
        api_key: sent as a bearer token; never shown.
        api: `completions` sends prompts as they are; `chat` sends each as one user message.
        option_scoring: how `choose` scores the options; `auto` finds out what the server supports.
        policy: timeouts, retries and rate limits.

    Raises:
        ConfigError: `base_url` is not a valid URL, or the key has characters that no header may contain.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        api: Api = "completions",
        option_scoring: OptionScoring = "auto",
        policy: RequestPolicy | None = None,
    ) -> None:
        self._name, self._model, self._api = name, model, api
        policy = policy or RequestPolicy()
        self._http = Client(_endpoint(base_url, api), api_key, policy)
        self._address = self._http.address
        self._threads = ThreadPoolExecutor(policy.concurrency, thread_name_prefix=f"entsemble-{name}")
        self._option_scoring, self._top_token_count = option_scoring, _TOP_TOKENS
        self._confirmed: set[Feature] = set()
        self._is_supported: dict[Feature, bool] = {
            "grammar": True,
            "logprobs": option_scoring in ("auto", "logprobs"),
            "guided": option_scoring in ("auto", "guided"),
        }

    def __repr__(self) -> str:
        return f"OpenAIModel(name={self._name!r}, url={self._address!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        """How the user calls it."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Of the server's address, the model's name there and the option scoring; the weights cannot be seen."""
        identity = json.dumps([self._address, self._model, self._option_scoring])
        return "openai:" + sha256(identity.encode()).hexdigest()[:16]

    @property
    def parameters(self) -> int | None:
        """Unknown for a server's model."""
        return None

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`; a repetitive list is not interrupted."""
        return self._map_prompts(lambda prompt: self._generate_reply(prompt, decoding), prompts)

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose` and this module's docstring.

        Raises:
            ValueError: there are no options, or one is a prefix of another.
        """
        if not options:
            raise ValueError("a choice needs at least one option")
        for index, option in enumerate(options):
            others = (*options[:index], *options[index + 1 :])
            if any(other.startswith(option) for other in others):
                raise ValueError(f"the option {option!r} is a prefix of another: end all with the same character")
        return self._map_prompts(lambda prompt: self._choose_option(prompt, tuple(options)), prompts)

    def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(cancel_futures=True)
        self._http.close()

    def _map_prompts(self, function: Callable[[str], Result], prompts: Sequence[str]) -> list[Result]:
        if len(prompts) == 1:
            return [function(prompts[0])]
        return list(self._threads.map(function, prompts))

    def _generate_reply(self, prompt: str, decoding: Decoding) -> Reply:
        """A reply under the grammar, as llama.cpp and as vLLM expect it; without it if the server rejects both."""
        parameters: dict[str, Any] = {"stop": list(decoding.stop)} if decoding.stop else {}
        if decoding.grammar is not None and self._is_supported["grammar"]:
            grammar = {"grammar": decoding.grammar, "structured_outputs": {"grammar": decoding.grammar}}
            try:
                reply = self._request_reply(prompt, decoding.max_tokens, {**parameters, **grammar})
            except _UnsupportedError:
                self._record_rejection("grammar")
            else:
                self._confirmed.add("grammar")
                return reply
        return self._request_reply(prompt, decoding.max_tokens, parameters)

    def _choose_option(self, prompt: str, options: tuple[str, ...]) -> Choice:
        if len(options) == 1:
            return Choice((0.0,), Usage())
        usages: list[Usage] = []
        if self._is_supported["logprobs"]:
            is_chat = self._api == "chat"
            scores = score_options(
                [option.lstrip() for option in options] if is_chat else options,
                lambda path: self._list_top_tokens(prompt + path, usages),
                can_continue=not is_chat,  # a chat's answer cannot be continued
            )
            if scores is not None:
                return Choice(scores, total_usage(usages))
        scores = self._choose_by_reply(prompt, options, usages)
        return Choice(scores, total_usage(usages), exact=False)

    def _list_top_tokens(self, prompt: str, usages: list[Usage]) -> dict[str, float] | None:
        """The most probable next tokens; `None`, and remembered, if the server does not list any."""
        parameters: dict[str, Any] = {"logprobs": self._top_token_count}
        if self._api == "chat":
            parameters = {"logprobs": True, "top_logprobs": self._top_token_count}
        try:
            completion, usage = self._request_completion(prompt, 1, parameters)
        except _UnsupportedError:
            if self._top_token_count > _TOP_TOKENS_OF_COMPLETIONS:
                self._top_token_count = _TOP_TOKENS_OF_COMPLETIONS
                return self._list_top_tokens(prompt, usages)
            if self._option_scoring == "logprobs":
                raise
            self._record_rejection("logprobs")
            return None
        usages.append(usage)
        try:
            top_tokens = parse_top_tokens(completion.logprobs)
        except ValueError as error:
            raise BadReplyError(f"{self._address} lists log-probabilities that are none: {error}") from error
        if not top_tokens:
            if self._option_scoring == "logprobs":
                raise BadReplyError(
                    f"{self._address} returns no log-probabilities; set option_scoring to 'auto' or 'guided'"
                )
            self._record_rejection("logprobs")
            return None
        self._confirmed.add("logprobs")
        return top_tokens

    def _choose_by_reply(self, prompt: str, options: tuple[str, ...], usages: list[Usage]) -> tuple[float, ...]:
        """0 for the option that the server writes and -inf for the others; all equal if it writes none."""
        max_bytes = max(len(option.encode()) for option in options)
        reply = None
        if self._is_supported["guided"]:
            try:
                reply = self._request_reply(prompt, max_bytes + 1, _guided_parameters(options))
                self._confirmed.add("guided")
            except _UnsupportedError:
                if self._option_scoring == "guided":
                    raise
                self._record_rejection("guided")
        if reply is None:
            parameters = {"stop": ["\n"]} if self._api == "completions" else {}
            reply = self._request_reply(prompt, max_bytes // 2 + 4, parameters)
        usages.append(reply.usage)
        best_index = match_option(reply.text, options)
        if best_index is None:
            return (-math.log(len(options)),) * len(options)
        return tuple(0.0 if index == best_index else -math.inf for index in range(len(options)))

    def _record_rejection(self, feature: Feature) -> None:
        """The server rejected a feature: do not use it again, unless it was accepted in an earlier request."""
        if feature not in self._confirmed:
            self._is_supported[feature] = False

    def _request_reply(self, prompt: str, max_tokens: int, parameters: Mapping[str, Any]) -> Reply:
        completion, usage = self._request_completion(prompt, max_tokens, parameters)
        if completion.reply is None:
            excerpt = self._http.excerpt(completion.model_dump_json())
            raise BadReplyError(f"the reply of {self._address} has no text: {excerpt}")
        max_characters = max_tokens * _MAX_CHARACTERS_PER_TOKEN
        is_finished = completion.finish_reason != "length" and len(completion.reply) <= max_characters
        return Reply(completion.reply[:max_characters], is_finished, usage)

    def _request_completion(
        self, prompt: str, max_tokens: int, parameters: Mapping[str, Any]
    ) -> tuple[Completion, Usage]:
        """The first choice of the server's answer, and what it cost."""
        text = defuse(prompt)
        content: dict[str, Any] = {"prompt": text}
        if self._api == "chat":
            content = {"messages": [{"role": "user", "content": text}]}
        body = {"model": self._model, **content, "max_tokens": max_tokens, "temperature": 0, **parameters}
        started = time.perf_counter()
        response = self._http.post(body)
        seconds = time.perf_counter() - started
        if not response.is_success:
            raise self._error_for(response)
        try:
            return parse_completion(response.json(), seconds)
        except ValueError as error:
            problem = f"{self._address} did not answer as an OpenAI-compatible server does"
            raise BadReplyError(f"{problem}: {self._http.excerpt(response.text)}") from error

    def _error_for(self, response: Answer) -> ModelUnavailableError | PromptTooLongError:
        status, excerpt = response.status_code, self._http.excerpt(response.text)
        if status < 500 and _TOO_LONG.search(response.text):
            return PromptTooLongError(
                f"the prompt does not fit the context of {self._model} at {self._address}: {excerpt}"
            )
        advice = {
            401: "; check the API key",
            403: "; check the permissions of the API key",
            404: f"; check the address, and that the server has a model called {self._model!r}",
        }.get(status, "")
        if location := response.headers.get("location"):
            advice = f"; it redirects to {self._http.excerpt(location)}: if that is the server, set base_url to it"
        error_class = _UnsupportedError if status in (400, 422, 501) else ModelUnavailableError
        return error_class(f"{self._address} answered {status}{advice}: {excerpt}")


def match_option(reply: str, options: Sequence[str]) -> int | None:
    """The index of the option that a free-text reply names: the longest that it begins with as a whole word.

    >>> match_option(" Person.", [" person;", " place;"])
    0
    """
    reply_text, best_index = _normalise(reply), None
    for index, option in enumerate(options):
        option_text = _normalise(option)
        next_character = reply_text[len(option_text) : len(option_text) + 1]
        is_match = reply_text.startswith(option_text) and not next_character.isalnum()
        is_longest = best_index is None or len(option_text) > len(_normalise(options[best_index]))
        if option_text and is_match and is_longest:
            best_index = index
    return best_index


def _normalise(text: str) -> str:
    return text.strip().strip("\"'`").rstrip(" .;,:|\n").casefold()


def _endpoint(base_url: str, api: Api) -> httpx.URL:
    path = "/completions" if api == "completions" else "/chat/completions"
    try:
        url = httpx.URL(base_url.rstrip("/") + path)
    except httpx.InvalidURL as error:
        raise ConfigError(f"{base_url!r} is not a valid URL ({error}); write http://HOST:PORT/v1") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"{base_url!r} is not the URL of a server; write http://HOST:PORT/v1")
    return url


def _guided_parameters(options: Sequence[str]) -> dict[str, Any]:
    """Restricts an answer to the options: in vLLM, in vLLM before 0.12, in llama.cpp; each ignores the others' keys."""
    grammar = "root ::= " + " | ".join(json.dumps(option, ensure_ascii=False) for option in options)
    return {"structured_outputs": {"choice": list(options)}, "guided_choice": list(options), "grammar": grammar}
