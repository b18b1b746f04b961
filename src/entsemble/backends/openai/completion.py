"""What a server's answer must contain; what is not used may be anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field

from entsemble.types import Usage

_MAX_TOKEN_COUNT = 10**12
_TokenCount = Annotated[int, Field(ge=0, le=_MAX_TOKEN_COUNT)]


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote.

    Attributes:
        text: `None` if the answer has none.
        is_cut_off: whether the token limit ended it.
        logprobs: see `parse_top_tokens`.
        usage: what it cost; 0 prompt tokens if the server does not count them.
    """

    text: str | None
    is_cut_off: bool
    logprobs: Any
    usage: Usage


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    text: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class _PromptDetails(BaseModel):
    cached_tokens: _TokenCount | None = None


class _TokenCounts(BaseModel):
    prompt_tokens: _TokenCount | None = None
    completion_tokens: _TokenCount | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _OpenAIAnswer(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _TokenCounts | None = None


class _OllamaAnswer(BaseModel):
    response: str
    done_reason: str | None = None
    logprobs: Any = None
    prompt_eval_count: _TokenCount | None = None
    eval_count: _TokenCount | None = None


def parse_openai(answer: object, seconds: float) -> Completion:
    """The first choice of an answer to `/completions` or `/chat/completions`.

    Args:
        answer: as decoded from JSON.
        seconds: how long it took.

    Raises:
        pydantic.ValidationError: it is not the answer of an OpenAI-compatible server.
    """
    checked = _OpenAIAnswer.model_validate(answer)
    [choice, *_] = checked.choices
    counts = checked.usage or _TokenCounts()
    details = counts.prompt_tokens_details or _PromptDetails()
    usage = Usage(
        prompt_tokens=counts.prompt_tokens or 0,
        cached_tokens=details.cached_tokens or 0,
        generated_tokens=counts.completion_tokens or 0,
        seconds=seconds,
        calls=1,
    )
    text = choice.text if choice.message is None else choice.message.content
    return Completion(text, choice.finish_reason == "length", choice.logprobs, usage)


def parse_ollama(answer: object, seconds: float) -> Completion:
    """An answer to Ollama's `/api/generate`; see `parse_openai`."""
    checked = _OllamaAnswer.model_validate(answer)
    usage = Usage(
        prompt_tokens=checked.prompt_eval_count or 0,
        generated_tokens=checked.eval_count or 0,
        seconds=seconds,
        calls=1,
    )
    logprobs = {"content": checked.logprobs}  # each entry is as in OpenAI's chats
    return Completion(checked.response, checked.done_reason == "length", logprobs, usage)
