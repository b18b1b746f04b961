"""A model behind an OpenAI-compatible server.

Such servers are vLLM, llama.cpp's server, Ollama, LM Studio and OpenAI itself. What a server does is found out before
the first request, see `probe`. `choose` uses the best method that the server supports. *Log-probabilities*: exact but
for tokens that the server does not list, see `option_logprobs`. *Answers*: the server writes several, restricted to the
options if it can do that, and their shares are the probabilities.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from hashlib import sha256
from typing import TypeVar

import httpx

from entsemble.backends.openai.client import Client, RequestPolicy
from entsemble.backends.openai.completion import Completion
from entsemble.backends.openai.endpoint import Endpoint, RejectedError
from entsemble.backends.openai.option_logprobs import parse_top_tokens, score_options
from entsemble.backends.openai.probe import ServerOptions, ServerProfile, probe_server
from entsemble.backends.openai.routes import ChatRoute, Request, option_text
from entsemble.errors import BadReplyError, ConfigError
from entsemble.types import Choice, Decoding, Reply, Usage, total_usage

Result = TypeVar("Result")

_LOG = logging.getLogger("entsemble")

_MAX_CHARACTERS_PER_TOKEN = 64
"""Of a reply; the rest is cut off, since a server may ignore the limit of tokens. Ordinary tokens have about four."""
_JSON_TOKENS = 12
"""Of an answer in JSON, besides those of the option."""


class OpenAIModel:
    """A `LanguageModel` over HTTP.

    Args:
        name: how the user calls it.
        base_url: up to and including `/v1`.
        model: its name at the server.
        api_key: sent as a bearer token; never shown.
        options: how the server is used.
        policy: timeouts, retries and rate limits.
        announce: called with one line on what the server does, once that is known; by default it is logged.
        profile: what the server does, if that is known.

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
        options: ServerOptions | None = None,
        policy: RequestPolicy | None = None,
        announce: Callable[[str], None] = _LOG.info,
        profile: ServerProfile | None = None,
    ) -> None:
        policy = policy or RequestPolicy()
        self._name, self._options, self._announce = name, options or ServerOptions(), announce
        self._endpoint = Endpoint(Client(_parse_url(base_url), api_key, policy), model)
        self._threads = ThreadPoolExecutor(policy.concurrency, thread_name_prefix=f"entsemble-{name}")
        self._profile, self._probe_lock = profile, threading.Lock()

    def __repr__(self) -> str:
        return (
            f"OpenAIModel(name={self._name!r}, url={self._endpoint.client.address!r}, model={self._endpoint.model!r})"
        )

    @property
    def name(self) -> str:
        """How the user calls it."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Of the server's address, the model's name there and the settings.

        Neither the weights nor what the server does are part of it: they are not known while the server is down.
        """
        identity = json.dumps([self._endpoint.client.address, self._endpoint.model, *astuple(self._options)])
        return "openai:" + sha256(identity.encode()).hexdigest()[:16]

    @property
    def parameters(self) -> int | None:
        """Unknown for a server's model."""
        return None

    def probe(self, *, retries: bool = False) -> ServerProfile:
        """What the server does; found out once, by a few short requests.

        Args:
            retries: whether a server that is busy or down is tried again, as the policy says.

        Raises:
            ModelUnavailableError: it cannot be reached, is busy, or has no such model.
            BadReplyError: its answers are not those of an OpenAI-compatible server.
            ConfigError: it cannot do what the settings demand.
        """
        with self._probe_lock:
            if self._profile is None:
                self._profile = probe_server(self._endpoint, self._options, retries=retries)
                line = self._profile.describe(self._options.samples)
                self._announce(f"{self._name} at {self._endpoint.client.address}: {line}")
            return self._profile

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
        self._endpoint.client.close()

    def _map_prompts(self, function: Callable[[str], Result], prompts: Sequence[str]) -> list[Result]:
        if len(prompts) == 1:
            return [function(prompts[0])]
        return list(self._threads.map(function, prompts))

    def _generate_reply(self, prompt: str, decoding: Decoding) -> Reply:
        """A reply under the grammar; without it if the server does not support grammars, or refuses this one."""
        profile = self.probe(retries=True)
        if decoding.grammar is not None and profile.has_grammars:
            request = Request(prompt, decoding.max_tokens, decoding.stop, grammar=decoding.grammar)
            try:
                return self._request_reply(profile, request)
            except RejectedError as error:
                _LOG.debug("%s: without its grammar: %s", self._name, error)
        return self._request_reply(profile, Request(prompt, decoding.max_tokens, decoding.stop))

    def _choose_option(self, prompt: str, options: tuple[str, ...]) -> Choice:
        if len(options) == 1:
            return Choice((0.0,), Usage())
        profile = self.probe(retries=True)
        usages: list[Usage] = []
        if profile.top_tokens:
            can_continue = profile.route.can_continue
            scores = score_options(
                options if can_continue else [option.lstrip() for option in options],
                lambda path: self._list_top_tokens(profile, prompt + path, usages),
                can_continue=can_continue,
            )
            if scores is not None:
                return Choice(scores, total_usage(usages))
        scores = self._choose_by_answers(profile, prompt, options, usages)
        return Choice(scores, total_usage(usages), exact=False)

    def _list_top_tokens(self, profile: ServerProfile, prompt: str, usages: list[Usage]) -> dict[str, float] | None:
        """The most probable next tokens; `None` if the server lists none this time."""
        completion = self._endpoint.ask(profile.route, Request(prompt, 1, top_tokens=profile.top_tokens))
        usages.append(completion.usage)
        try:
            top_tokens = parse_top_tokens(completion.logprobs)
        except ValueError as error:
            address = self._endpoint.address(profile.route)
            raise BadReplyError(f"{address} lists log-probabilities that are none: {error}") from error
        if not profile.route.can_continue:  # an answer of its own may begin with whitespace or without
            top_tokens = {
                stripped: value
                for token, value in sorted(top_tokens.items(), key=lambda item: item[1])
                if (stripped := token.lstrip())
            }
        return top_tokens or None

    def _choose_by_answers(
        self, profile: ServerProfile, prompt: str, options: tuple[str, ...], usages: list[Usage]
    ) -> tuple[float, ...]:
        """Log-probabilities of the options from their shares of the server's answers.

        The first answer is the most probable one, and the others are sampled. Answers that name no option are divided
        among all, and so is one more answer: a vote on a few answers is never certain.
        """
        counts = [1 / len(options)] * len(options)
        answers = self._options.samples if profile.sampling_fields is not None else 1
        for seed in range(answers):
            request = self._option_request(profile, prompt, options, seed)
            reply = self._request_reply(profile, request)
            usages.append(reply.usage)
            best_index = match_option(option_text(reply.text), options)
            if best_index is None:
                counts = [count + 1 / len(options) for count in counts]
            else:
                counts[best_index] += 1
        return tuple(math.log(count / (answers + 1)) for count in counts)

    @staticmethod
    def _option_request(profile: ServerProfile, prompt: str, options: tuple[str, ...], seed: int) -> Request:
        """A request for one of the options; the first, of seed 0, for the most probable one."""
        max_bytes = max(len(option.encode()) for option in options)
        if profile.guidance:
            tokens = max_bytes + (_JSON_TOKENS if profile.guidance == "schema" else 1)
            request = Request(prompt, tokens, options=options, guidance=profile.guidance)
        else:
            stop = () if isinstance(profile.route, ChatRoute) else ("\n",)
            request = Request(prompt, max_bytes // 2 + 4, stop)
        if seed == 0:
            return request
        return replace(request, temperature=1.0, seed=seed, sampling_fields=profile.sampling_fields)

    def _request_reply(self, profile: ServerProfile, request: Request) -> Reply:
        completion = self._endpoint.ask(profile.route, request)
        if completion.text is None:
            raise BadReplyError(f"the reply of {self._endpoint.address(profile.route)} has no text")
        return _reply(completion, request)


def _reply(completion: Completion, request: Request) -> Reply:
    """The reply as requested, even if the server ignores stop strings or the limit of tokens."""
    text = completion.text or ""
    ends = [end for end in map(text.find, request.stop) if end >= 0]
    if ends:
        return Reply(text[: min(ends)], True, completion.usage)
    max_characters = request.max_tokens * _MAX_CHARACTERS_PER_TOKEN
    is_finished = not completion.is_cut_off and len(text) <= max_characters
    return Reply(text[:max_characters], is_finished, completion.usage)


def match_option(reply: str, options: Sequence[str]) -> int | None:
    """The index of the option that a free-text reply names: the longest that it begins with as a whole word.

    >>> match_option(" Person.", [" person;", " place;"])
    0
    """
    reply_text, best_index = _normalise(reply), None
    for index, option in enumerate(options):
        option_name = _normalise(option)
        next_character = reply_text[len(option_name) : len(option_name) + 1]
        is_match = reply_text.startswith(option_name) and not next_character.isalnum()
        is_longest = best_index is None or len(option_name) > len(_normalise(options[best_index]))
        if option_name and is_match and is_longest:
            best_index = index
    return best_index


def _normalise(text: str) -> str:
    return text.strip().strip("\"'`").rstrip(" .;,:|\n").casefold()


def _parse_url(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ConfigError(f"{base_url!r} is not a valid URL ({error}); write http://HOST:PORT/v1") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"{base_url!r} is not the URL of a server; write http://HOST:PORT/v1")
    return url
