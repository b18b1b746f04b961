"""A model behind an OpenAI-compatible server: vLLM, llama.cpp's server, Ollama, LM Studio, OpenAI itself.

`choose` takes the best that the server offers. *Log-probabilities*: the options are walked as a trie of the tokens
that the server returns, so no tokenizer is needed here; a token that the server leaves out of its top list is given
half of what it can have at most (the least listed token, or all that the list leaves over). *Guided*: the server is
made to answer with one of the options. *Text*: it may answer anything, and the answer is matched to the options.
The last two give no probabilities.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import httpx

from entsemble.backends.openai.client import Client, RequestPolicy
from entsemble.errors import BadReplyError, ConfigError, ModelUnavailableError, PromptTooLongError
from entsemble.types import Choice, Decoding, Reply, Usage, total_usage

Api = Literal["completions", "chat"]
Choosing = Literal["auto", "logprobs", "guided", "text"]
Result = TypeVar("Result")

_TOP = 20
"""Tokens asked for at each branching: the most that vLLM and OpenAI's chat give by default."""
_TOP_LEGACY = 5
"""The most that OpenAI's completions give."""
_TOO_LONG = re.compile(
    r"context.{0,40}(length|size|window)|exceed.{0,40}context|too many tokens", re.IGNORECASE | re.DOTALL
)


class _RefusedError(ModelUnavailableError):
    """The server turned the request down as it was put: something in it is not supported."""


class OpenAIModel:
    """A `LanguageModel` over HTTP.

    Args:
        name: how the user calls it.
        base_url: up to and including `/v1`.
        model: its name at the server.
        api_key: sent as a bearer token; never shown.
        api: `completions` sends prompts as they are; `chat` sends each as one user message.
        choose: how `choose` asks; `auto` finds out what the server can do.
        policy: limits and patience.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        api: Api = "completions",
        choose: Choosing = "auto",
        policy: RequestPolicy | None = None,
    ) -> None:
        self._name, self._model, self._api = name, model, api
        try:
            url = httpx.URL(base_url.rstrip("/") + ("/completions" if api == "completions" else "/chat/completions"))
        except httpx.InvalidURL as error:
            raise ConfigError(f"{base_url!r} is no URL ({error}); a server is written http://HOST:PORT/v1") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigError(f"{base_url!r} is no URL of a server; write http://HOST:PORT/v1")
        policy = policy or RequestPolicy()
        self._http = Client(url, api_key, policy)
        self._shown = self._http.shown
        self._pool = ThreadPoolExecutor(policy.concurrency, thread_name_prefix=f"entsemble-{name}")
        self._choosing, self._top = choose, _TOP
        self._known: set[str] = set()
        self._able = {
            "grammar": True,
            "logprobs": choose in ("auto", "logprobs"),
            "guided": choose in ("auto", "guided"),
        }

    def __repr__(self) -> str:
        return f"OpenAIModel(name={self._name!r}, url={self._shown!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        """How the user calls it."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Of the server's address, the model's name there and how it is asked; the weights cannot be seen."""
        told = json.dumps([self._shown, self._model, self._choosing])
        return "openai:" + hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def parameters(self) -> int | None:
        """Not known of a server's model."""
        return None

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """Continue each prompt greedily; see `LanguageModel.generate`."""
        return self._each(lambda prompt: self._constrained(prompt, decoding), prompts)

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """How likely each option is after each prompt; see `LanguageModel.choose` and this module's head."""
        if not options:
            raise ValueError("a choice needs at least one option")
        for i, option in enumerate(options):
            if any(other.startswith(option) for j, other in enumerate(options) if j != i):
                raise ValueError(f"the option {option!r} is the beginning of another: end each with the same mark")
        return self._each(lambda prompt: self._choice(prompt, tuple(options)), prompts)

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._http.close()

    def _each(self, function: Callable[[str], Result], prompts: Sequence[str]) -> list[Result]:
        return [function(prompts[0])] if len(prompts) == 1 else list(self._pool.map(function, prompts))

    def _constrained(self, prompt: str, decoding: Decoding) -> Reply:
        """A reply under the grammar, in llama.cpp's words and in vLLM's; without it where the server refuses both."""
        extra: dict[str, Any] = {"stop": list(decoding.stop)} if decoding.stop else {}
        if decoding.grammar is not None and self._able["grammar"]:
            grammar = {"grammar": decoding.grammar, "structured_outputs": {"grammar": decoding.grammar}}
            try:
                return self._worked("grammar", self._reply(prompt, decoding.max_tokens, {**extra, **grammar}))
            except _RefusedError:
                self._failed("grammar")
        return self._reply(prompt, decoding.max_tokens, extra)

    def _reply(self, prompt: str, max_tokens: int, extra: Mapping[str, Any]) -> Reply:
        choice, usage = self._ask(prompt, max_tokens, extra)
        message = choice.get("message")
        text = message.get("content") if isinstance(message, dict) else choice.get("text")
        if not isinstance(text, str):
            raise BadReplyError(f"the reply of {self._shown} holds no text: {self._http.excerpt(json.dumps(choice))}")
        return Reply(text, choice.get("finish_reason") != "length", usage)

    def _choice(self, prompt: str, options: tuple[str, ...]) -> Choice:
        if len(options) == 1:
            return Choice((0.0,), Usage())
        spent: list[Usage] = []
        if self._able["logprobs"]:
            walked = self._walked(prompt, options, spent)
            if walked is not None:
                return Choice(walked, total_usage(spent))
        told = self._told(prompt, options, spent)
        return Choice(told, total_usage(spent), exact=False)

    def _walked(self, prompt: str, options: tuple[str, ...], spent: list[Usage]) -> tuple[float, ...] | None:
        """Log-probabilities by walking the trie of tokens, or `None` where the server's answers do not allow it."""
        texts = [option.lstrip() for option in options] if self._api == "chat" else list(options)
        scores = [0.0] * len(options)
        branches: list[tuple[str, dict[int, str]]] = [("", dict(enumerate(texts)))]
        while branches:
            path, rest = branches.pop()
            if path and self._api == "chat":
                return None  # a chat's answer cannot be asked to go on from here
            top = self._top_tokens(prompt + path, spent)
            if top is None:
                return None
            groups = _grouped(rest, top)
            if not any(token for token in groups.values()):
                if not path:
                    return None
                groups = {(i,): "" for i in rest}
            shares = _shares(groups, rest, top)
            for members, token in groups.items():
                for i in members:
                    scores[i] += shares[members]
                if len(members) > 1:
                    branches.append((path + token, {i: rest[i][len(token) :] for i in members}))
        return tuple(scores)

    def _top_tokens(self, prompt: str, spent: list[Usage]) -> dict[str, float] | None:
        """The most probable next tokens; `None`, and remembered, where the server does not tell."""
        try:
            choice, usage = self._ask(prompt, 1, self._logprobs_arguments())
        except _RefusedError:
            if self._top > _TOP_LEGACY:
                self._top = _TOP_LEGACY
                return self._top_tokens(prompt, spent)
            if self._choosing == "logprobs":
                raise
            self._failed("logprobs")
            return None
        spent.append(usage)
        top = _listed(choice.get("logprobs"))
        if not top:
            if self._choosing == "logprobs":
                raise BadReplyError(f"{self._shown} gives no log-probabilities; choose with 'auto' or 'guided'")
            self._failed("logprobs")
            return None
        return self._worked("logprobs", top)

    def _logprobs_arguments(self) -> dict[str, Any]:
        return {"logprobs": self._top} if self._api == "completions" else {"logprobs": True, "top_logprobs": self._top}

    def _told(self, prompt: str, options: tuple[str, ...], spent: list[Usage]) -> tuple[float, ...]:
        """0 for the option that the server writes and -inf for the others; all equal where it writes none."""
        longest = max(len(option.encode()) for option in options)
        reply = None
        if self._able["guided"]:
            try:
                reply = self._worked("guided", self._reply(prompt, longest + 1, _only(options)))
            except _RefusedError:
                if self._choosing == "guided":
                    raise
                self._failed("guided")
        if reply is None:
            reply = self._reply(prompt, longest // 2 + 4, {"stop": ["\n"]} if self._api == "completions" else {})
        spent.append(reply.usage)
        said = match_option(reply.text, options)
        if said is None:
            return (-math.log(len(options)),) * len(options)
        return tuple(0.0 if i == said else -math.inf for i in range(len(options)))

    def _worked(self, way: str, result: Result) -> Result:
        """`result`, and that the server knows this way of asking."""
        self._known.add(way)
        return result

    def _failed(self, way: str) -> None:
        """The server refused this way: for good where it never took it, else for the one request."""
        if way not in self._known:
            self._able[way] = False

    def _ask(self, prompt: str, max_tokens: int, extra: Mapping[str, Any]) -> tuple[dict[str, Any], Usage]:
        """The first choice of the server's answer, and what it cost."""
        asked: dict[str, Any] = {"prompt": prompt}
        if self._api == "chat":
            asked = {"messages": [{"role": "user", "content": prompt}]}
        body = {"model": self._model, **asked, "max_tokens": max_tokens, "temperature": 0, **extra}
        began = time.perf_counter()
        response = self._http.post(body)
        seconds = time.perf_counter() - began
        if not response.is_success:
            raise self._complaint(response)
        try:
            answer = response.json()
            choice = answer["choices"][0]
            if not isinstance(choice, dict):
                raise TypeError("a choice is an object")
            return choice, _usage(answer.get("usage"), seconds)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            told = f"{self._shown} did not answer as an OpenAI-compatible server does"
            raise BadReplyError(f"{told}: {self._http.excerpt(response.text)}") from error

    def _complaint(self, response: httpx.Response) -> ModelUnavailableError | PromptTooLongError:
        status, said = response.status_code, self._http.excerpt(response.text)
        if status < 500 and _TOO_LONG.search(response.text):
            return PromptTooLongError(f"the prompt does not fit the context of {self._model} at {self._shown}: {said}")
        advice = {
            401: "; check the API key",
            403: "; check what the API key may do",
            404: f"; check the address, and that the server has a model called {self._model!r}",
        }.get(status, "")
        kind = _RefusedError if status in (400, 422, 501) else ModelUnavailableError
        return kind(f"{self._shown} answered {status}{advice}: {said}")


def match_option(reply: str, options: Sequence[str]) -> int | None:
    """Which option a free-text reply names: the longest that it begins with as a whole word.

    >>> match_option(" Person.", [" person;", " place;"])
    0
    """
    said, best = _bare(reply), None
    for i, option in enumerate(options):
        wanted = _bare(option)
        begins = said.startswith(wanted) and not said[len(wanted) : len(wanted) + 1].isalnum()
        if wanted and begins and (best is None or len(wanted) > len(_bare(options[best]))):
            best = i
    return best


def _bare(text: str) -> str:
    return text.strip().strip("\"'`").rstrip(" .;,:|\n").casefold()


def _grouped(rest: Mapping[int, str], top: Mapping[str, float]) -> dict[tuple[int, ...], str]:
    """Options by the listed token that each begins with, the longest such; "" for each that none begins."""
    by_token: dict[str, list[int]] = {}
    alone: dict[tuple[int, ...], str] = {}
    for i, text in rest.items():
        beginnings = [token for token in top if token and text.startswith(token)]
        covering = [token for token in top if text and token.startswith(text)]
        if beginnings:
            by_token.setdefault(max(beginnings, key=len), []).append(i)
        else:
            alone[(i,)] = max(covering, key=top.__getitem__, default="")
    return {tuple(members): token for token, members in by_token.items()} | alone


def _shares(
    groups: Mapping[tuple[int, ...], str], rest: Mapping[int, str], top: Mapping[str, float]
) -> dict[tuple[int, ...], float]:
    """Log-probability of each group among its siblings."""
    left = max(1.0 - sum(math.exp(value) for value in top.values()), 1e-9)
    floor = min(*top.values(), math.log(left)) - math.log(2)
    raw: dict[tuple[int, ...], float] = {}
    for members, token in groups.items():
        text = rest[members[0]]
        covering = [value for other, value in top.items() if len(members) == 1 and text and other.startswith(text)]
        raw[members] = _log_sum(covering) if covering else top[token] if token else floor
    whole = _log_sum(raw.values())
    return {members: value - whole for members, value in raw.items()}


def _log_sum(values: Iterable[float]) -> float:
    listed = list(values)
    most = max(listed)
    return float(most + math.log(sum(math.exp(value - most) for value in listed)))


def _listed(logprobs: object) -> dict[str, float]:
    """The top tokens of the first position, from either of the two formats in use; empty where there are none."""
    top: dict[str, float] = {}
    if not isinstance(logprobs, dict):
        return top
    if isinstance(content := logprobs.get("content"), list) and content:
        pairs = [(entry.get("token"), entry.get("logprob")) for entry in _top_of(content[0])]
    elif isinstance(legacy := logprobs.get("top_logprobs"), list) and legacy and isinstance(legacy[0], dict):
        pairs = list(legacy[0].items())
    else:
        return top
    for token, value in pairs:
        if isinstance(token, str) and isinstance(value, (int, float)) and math.isfinite(value):
            top[token] = max(float(value), top.get(token, -math.inf))
    return top


def _top_of(position: object) -> list[dict[str, Any]]:
    top = position.get("top_logprobs") if isinstance(position, dict) else None
    return [entry for entry in top if isinstance(entry, dict)] if isinstance(top, list) else []


def _only(options: Sequence[str]) -> dict[str, Any]:
    """What makes a server answer with one of the options: vLLM, vLLM before 0.12, llama.cpp; each ignores the rest."""
    grammar = "root ::= " + " | ".join(json.dumps(option, ensure_ascii=False) for option in options)
    return {"structured_outputs": {"choice": list(options)}, "guided_choice": list(options), "grammar": grammar}


def _usage(told: object, seconds: float) -> Usage:
    usage = told if isinstance(told, dict) else {}
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return Usage(
        int(usage.get("prompt_tokens") or 0), int(cached or 0), int(usage.get("completion_tokens") or 0), seconds, 1
    )
