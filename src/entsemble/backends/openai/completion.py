"""What a server's answer must contain; what is not used may be anything."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from entsemble.types import Usage

_MAX_TOKEN_COUNT = 10**12
_TokenCount = Annotated[int, Field(ge=0, le=_MAX_TOKEN_COUNT)]


class _Message(BaseModel):
    content: str | None = None


class Completion(BaseModel):
    """One choice of an answer, of completions or of a chat.

    Attributes:
        text: of completions.
        message: of a chat.
        finish_reason: why it ends: `length` if the token limit cut it off.
        logprobs: see `parse_top_tokens`.
    """

    text: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: Any = None

    @property
    def reply(self) -> str | None:
        """The text of either kind of answer, if there is one."""
        return self.text if self.message is None else self.message.content


class _PromptDetails(BaseModel):
    cached_tokens: _TokenCount | None = None


class _TokenCounts(BaseModel):
    prompt_tokens: _TokenCount | None = None
    completion_tokens: _TokenCount | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _ServerAnswer(BaseModel):
    choices: list[Completion] = Field(min_length=1)
    usage: _TokenCounts | None = None


def parse_completion(answer: object, seconds: float) -> tuple[Completion, Usage]:
    """The first choice of an answer, and what it cost.

    Args:
        answer: as decoded from JSON.
        seconds: how long it took.

    Raises:
        pydantic.ValidationError: it is not the answer of an OpenAI-compatible server.
    """
    checked = _ServerAnswer.model_validate(answer)
    counts = checked.usage or _TokenCounts()
    details = counts.prompt_tokens_details or _PromptDetails()
    usage = Usage(
        prompt_tokens=counts.prompt_tokens or 0,
        cached_tokens=details.cached_tokens or 0,
        generated_tokens=counts.completion_tokens or 0,
        seconds=seconds,
        calls=1,
    )
    return checked.choices[0], usage
