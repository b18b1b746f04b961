"""A member of the ensemble: a model and its prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from entsemble._lib.cancellation import check_cancelled
from entsemble.errors import MemberDownError, ModelError, PromptTooLongError
from entsemble.prompting.demonstration import Demonstration
from entsemble.prompting.template import Template
from entsemble.protocols import LanguageModel


@dataclass(frozen=True, slots=True)
class Member:
    """A model and how it is prompted.

    Attributes:
        name: identifies the member in votes and reports; unique in the ensemble.
        model: generates replies and chooses among options.
        template: of the prompts of stages 2 to 4.
        zero_shot: template of pre-extraction.
        weight: of its vote in a weighted vote.
        bias: label -> added to its log-probability before labels are compared; see `voting.rules.apply_bias`.
        shots: maximum number of demonstrations in its prompts, the most similar ones; `None` for all.
    """

    name: str
    model: LanguageModel
    template: Template
    zero_shot: Template
    weight: float = 1.0
    bias: Mapping[str, float] = field(default_factory=dict)
    shots: int | None = None

    def select_demonstrations(self, demonstrations: Sequence[Demonstration]) -> Sequence[Demonstration]:
        """The most similar `shots` of the demonstrations, whose most similar is last."""
        return demonstrations if self.shots is None else demonstrations[max(0, len(demonstrations) - self.shots) :]

    @contextmanager
    def attribute_errors(self) -> Iterator[LanguageModel]:
        """The model, with its errors attributed to the member.

        PromptTooLongError passes unchanged: it is the prompt's fault, not the member's.

        Raises:
            MemberDownError: the model is unavailable or replies nonsense.
            WorkCancelledError: the answer is no longer wanted.
        """
        check_cancelled()
        try:
            yield self.model
        except (PromptTooLongError, MemberDownError):
            raise
        except ModelError as error:
            raise MemberDownError(self.name, str(error)) from error


class MemberPrompt(NamedTuple):
    """A prompt for one member.

    Attributes:
        member: whose model is prompted.
        template: of the prompt and of what continues it.
        text: the prompt, up to and including the extraction question.
    """

    member: Member
    template: Template
    text: str
