"""The ways to put a prompt to a server: raw, in a chat, or by Ollama's own interface."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import httpx

from entsemble.backends.control_tokens import defuse
from entsemble.backends.openai.completion import Completion, parse_ollama, parse_openai

Guidance = Literal["choice", "schema"]
"""How a server restricts an answer to options: by vLLM's and llama.cpp's own fields, or by a JSON schema."""

Prefill = Literal["plain", "flagged"]
"""How a server continues a message of the assistant: always if it is the last one (llama.cpp), or if two fields say so
(vLLM, SGLang)."""

_CHAT_INSTRUCTION = "Continue the text exactly where it ends. Write only what comes next, on one line.\n\n"
_PREFILL_INSTRUCTION = "Annotate another text in the same way.\n\n"


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked to write.

    Attributes:
        prompt: that it continues.
        max_tokens: limit of the answer.
        stop: strings that end the answer.
        temperature: 0 for the most probable answer.
        seed: of a sampled answer.
        top_tokens: how many of the most probable tokens are to be listed with their log-probabilities.
        grammar: GBNF that the answer must match.
        options: of which the answer must be one.
        guidance: how the server is told about the options.
        sampling_fields: what a server needs besides a temperature to sample.
    """

    prompt: str
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int | None = None
    top_tokens: int = 0
    grammar: str | None = None
    options: tuple[str, ...] = ()
    guidance: Guidance | None = None
    sampling_fields: Mapping[str, Any] | None = None


class Route(Protocol):
    """One way to put a prompt to a server."""

    @property
    def description(self) -> str:
        """What the user is shown: "raw prompts"."""
        ...

    @property
    def can_continue(self) -> bool:
        """Whether a prompt may end within an answer, which the model then continues."""
        ...

    def url(self, base_url: httpx.URL) -> httpx.URL:
        """The address of requests."""
        ...

    def body(self, model: str, request: Request) -> dict[str, Any]:
        """The body of a request."""
        ...

    def parse(self, answer: object, request: Request, seconds: float) -> Completion:
        """The completion in an answer.

        Raises:
            ValueError: it is not an answer of this kind.
        """
        ...


@dataclass(frozen=True, slots=True)
class CompletionsRoute:
    """`/completions`: prompts as they are."""

    description = "raw prompts"
    can_continue = True

    def url(self, base_url: httpx.URL) -> httpx.URL:
        """See `Route.url`."""
        return joined(base_url, "/completions")

    def body(self, model: str, request: Request) -> dict[str, Any]:
        """See `Route.body`."""
        logprobs = {"logprobs": request.top_tokens} if request.top_tokens else {}
        return {"model": model, "prompt": defuse(request.prompt), **_common_fields(request), **logprobs}

    def parse(self, answer: object, request: Request, seconds: float) -> Completion:  # noqa: ARG002
        """See `Route.parse`."""
        return parse_openai(answer, seconds)


@dataclass(frozen=True, slots=True)
class ChatRoute:
    """`/chat/completions`: prompts in the model's chat template.

    If the server continues a message of the assistant, a prompt's last paragraph is the beginning of that message, and
    what precedes it is the user's message. Otherwise the whole prompt is the user's message.

    Attributes:
        prefill: how the server continues a message of the assistant; `None` if it does not.
    """

    prefill: Prefill | None = None

    @property
    def description(self) -> str:
        """See `Route.description`."""
        return "chat template" + (", answers continued" if self.prefill else "")

    @property
    def can_continue(self) -> bool:
        """See `Route.can_continue`."""
        return self.prefill is not None

    def url(self, base_url: httpx.URL) -> httpx.URL:
        """See `Route.url`."""
        return joined(base_url, "/chat/completions")

    def body(self, model: str, request: Request) -> dict[str, Any]:
        """See `Route.body`."""
        user, assistant = self._messages(request.prompt)
        messages = [{"role": "user", "content": user}]
        fields: dict[str, Any] = {}
        if assistant is not None:
            messages.append({"role": "assistant", "content": assistant})
        if self.prefill == "flagged":
            fields = {"continue_final_message": True, "add_generation_prompt": False}
        if request.top_tokens:
            fields |= {"logprobs": True, "top_logprobs": request.top_tokens}
        return {"model": model, "messages": messages, **_common_fields(request), **fields}

    def parse(self, answer: object, request: Request, seconds: float) -> Completion:
        """See `Route.parse`. Some servers repeat the beginning of the message, and some models the prompt's end."""
        completion = parse_openai(answer, seconds)
        if completion.text is None:
            return completion
        _, assistant = self._messages(request.prompt)
        repeated = assistant if assistant is not None else defuse(request.prompt).rpartition("\n")[2]
        return replace(completion, text=completion.text.removeprefix(repeated))

    def _messages(self, prompt: str) -> tuple[str, str | None]:
        """The user's message, and the beginning of the assistant's."""
        if self.prefill is None:
            return _CHAT_INSTRUCTION + defuse(prompt), None
        examples, _, beginning = defuse(prompt).rpartition("\n\n")
        return _PREFILL_INSTRUCTION + examples, beginning


@dataclass(frozen=True, slots=True)
class OllamaRoute:
    """Ollama's `/api/generate` with `raw`: prompts as they are; its `/completions` puts them in a chat template.

    Attributes:
        context: tokens of a prompt and its answer; Ollama would cut off the beginning of a longer prompt.
    """

    context: int

    description = "raw prompts by /api/generate"
    can_continue = True

    def url(self, base_url: httpx.URL) -> httpx.URL:
        """See `Route.url`."""
        return joined(root(base_url), "/api/generate")

    def body(self, model: str, request: Request) -> dict[str, Any]:
        """See `Route.body`."""
        options = {
            "num_ctx": self.context,
            "num_predict": request.max_tokens,
            "temperature": request.temperature,
            "stop": list(request.stop),
        }
        if request.seed is not None:
            options["seed"] = request.seed
        fields: dict[str, Any] = {"logprobs": True, "top_logprobs": request.top_tokens} if request.top_tokens else {}
        if request.guidance == "schema":
            fields["format"] = {"type": "string", "enum": [option.strip() for option in request.options]}
        return {
            "model": model,
            "prompt": defuse(request.prompt),
            "raw": True,
            "stream": False,
            "truncate": False,
            "options": options,
            **fields,
        }

    def parse(self, answer: object, request: Request, seconds: float) -> Completion:  # noqa: ARG002
        """See `Route.parse`."""
        return parse_ollama(answer, seconds)


def root(base_url: httpx.URL) -> httpx.URL:
    """The address of a server without the `/v1` of its OpenAI-compatible interface."""
    return base_url.copy_with(path=base_url.path.rstrip("/").removesuffix("/v1") or "/")


def option_text(text: str) -> str:
    """The option in an answer that may be JSON, as a schema demands."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    answer = value.get("answer") if isinstance(value, dict) else value
    return answer if isinstance(answer, str) else text


def joined(base_url: httpx.URL, path: str) -> httpx.URL:
    """The address of `path` below a base URL, with the URL's query."""
    return base_url.copy_with(path=base_url.path.rstrip("/") + path)


def _common_fields(request: Request) -> dict[str, Any]:
    """Fields of completions and chats, without what is not requested: servers refuse what they do not know."""
    fields: dict[str, Any] = {"max_tokens": request.max_tokens, "temperature": request.temperature}
    if request.stop:
        fields["stop"] = list(request.stop)
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.sampling_fields:
        fields |= request.sampling_fields
    if request.grammar is not None:  # as llama.cpp and as vLLM expect it
        fields |= {"grammar": request.grammar, "structured_outputs": {"grammar": request.grammar}}
    if request.guidance == "choice":
        fields |= _choice_fields(request.options)
    if request.guidance == "schema":
        fields["response_format"] = _json_schema([option.strip() for option in request.options])
    return fields


def _choice_fields(options: Sequence[str]) -> dict[str, Any]:
    """Fields of vLLM, of vLLM before 0.12, and of llama.cpp; each ignores the others'."""
    grammar = "root ::= " + " | ".join(json.dumps(option, ensure_ascii=False) for option in options)
    return {"structured_outputs": {"choice": list(options)}, "guided_choice": list(options), "grammar": grammar}


def _json_schema(options: Sequence[str]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(options)}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
