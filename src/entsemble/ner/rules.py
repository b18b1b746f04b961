"""The user's rules: thresholds for single labels, names that are never mentions, and counter-examples of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from entsemble.types import LabelSet


@dataclass(frozen=True, slots=True)
class UserRules:
    """What the user decides, whatever the votes say.

    Attributes:
        thresholds: label -> minimum score of its mentions.
        never: names that are never mentions.
        counter_examples: label -> names that are never mentions of this label.
        same_answer: whether a name has one label wherever it occurs in a document.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    never: frozenset[str] = frozenset()
    counter_examples: Mapping[str, frozenset[str]] = field(default_factory=dict)
    same_answer: bool = False

    def threshold(self, label: str, default: float) -> float:
        """The minimum score of a mention with this label."""
        return self.thresholds.get(label, default)

    def forbid(self, surface: str, label: str) -> bool:
        """Whether a name cannot be a mention with this label; blanks and line ends count alike, case does not."""
        name = normalized(surface)
        return name in self.never or name in self.counter_examples.get(label, ())


def normalized(name: str) -> str:
    """A name with single blanks between its words."""
    return " ".join(name.split())


def counter_examples(labels: LabelSet) -> dict[str, frozenset[str]]:
    """The counter-examples of labels that have any, as they are compared."""
    return {
        label.name: frozenset(map(normalized, label.counter_examples)) for label in labels if label.counter_examples
    }
