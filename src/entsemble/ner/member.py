"""One voice of the ensemble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from entsemble.errors import MemberDownError, ModelError, PromptTooLongError
from entsemble.prompting.demonstration import Demonstration
from entsemble.prompting.template import Template
from entsemble.protocols import LanguageModel


@dataclass(frozen=True, slots=True)
class Member:
    """A model and the way it is asked.

    Attributes:
        name: unique in the ensemble; how votes and reports call it.
        model: what answers.
        template: the prompt shape of stages 2 to 4.
        zero_shot: the prompt shape of pre-extraction.
        weight: what its vote counts in a weighted vote.
        bias: label -> added to its log-probability before labels are compared; see `voting.rules.apply_bias`.
        shots: demonstrations at most that it is shown, the most similar; `None` for all that were found.
    """

    name: str
    model: LanguageModel
    template: Template
    zero_shot: Template
    weight: float = 1.0
    bias: Mapping[str, float] = field(default_factory=dict)
    shots: int | None = None

    def select_demonstrations(self, shown: Sequence[Demonstration]) -> Sequence[Demonstration]:
        """Those of the demonstrations, the most similar last, that it is shown."""
        return shown if self.shots is None else shown[max(0, len(shown) - self.shots) :]

    @contextmanager
    def attribute_errors(self) -> Iterator[LanguageModel]:
        """The model; an error of its says whose it is. A prompt that is too long is nobody's fault and stays as it is.

        Raises:
            MemberDownError: the model is gone, or answers nonsense.
        """
        try:
            yield self.model
        except (PromptTooLongError, MemberDownError):
            raise
        except ModelError as error:
            raise MemberDownError(self.name, str(error)) from error
