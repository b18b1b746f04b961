"""One voice of the ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from entsemble.errors import MemberDownError, ModelError, PromptTooLongError
from entsemble.prompting.align import occurrences
from entsemble.prompting.demonstration import Demonstration, one_line
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
        bias: label -> what is added to its log-probability, before the labels are compared; see `voting.corrected`.
        shots: demonstrations at most that it is shown, the most similar; `None` for all that were found.
    """

    name: str
    model: LanguageModel
    template: Template
    zero_shot: Template
    weight: float = 1.0
    bias: Mapping[str, float] = field(default_factory=dict)
    shots: int | None = None

    def seen(self, shown: Sequence[Demonstration]) -> Sequence[Demonstration]:
        """Those of the demonstrations, the most similar last, that it is shown."""
        return shown if self.shots is None else shown[max(0, len(shown) - self.shots) :]

    @contextmanager
    def asked(self) -> Iterator[LanguageModel]:
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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A surface that somebody proposed.

    Attributes:
        surface: as it stands in the text at its first place.
        members: who proposed it, in the ensemble's order.
    """

    surface: str
    members: tuple[str, ...]


def with_others(text: str, candidates: Sequence[Candidate], surfaces: Iterable[str], name: str) -> list[Candidate]:
    """The candidates and, in text order, those of the surfaces that nobody proposed.

    Args:
        text: where they stand.
        candidates: that somebody proposed.
        surfaces: of the text.
        name: who proposes them.
    """
    line = one_line(text)
    places = {c.surface: occurrences(line, c.surface)[0] for c in candidates}
    alike = {span for c in candidates for span in occurrences(line, c.surface)}
    every = [*candidates]
    for surface in surfaces:
        there = occurrences(line, surface)
        if there and alike.isdisjoint(there):
            places[surface] = there[0]
            alike.update(there)
            every.append(Candidate(surface, (name,)))
    return sorted(every, key=lambda c: (places[c.surface].start, -places[c.surface].end))
