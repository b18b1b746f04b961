"""One voice of the ensemble."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    name: str
    model: LanguageModel
    template: Template
    zero_shot: Template
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A surface that somebody proposed.

    Attributes:
        surface: as it stands in the text at its first place.
        members: who proposed it, in the ensemble's order.
    """

    surface: str
    members: tuple[str, ...]
