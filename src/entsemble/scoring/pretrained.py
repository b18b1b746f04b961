"""What the votes of small models were worth on other corpora: believed before a pool has taught anything.

Feature weights vary between corpora, but much less than they differ from zero. So the weights learned on open corpora
(`tools/release/scorer.py`, stored in `pretrained.json`) are the prior mean of every fit, and are used unchanged where a
pool is too small to learn from (empirical Bayes). They depend on no member and no label: all members share one weight.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from entsemble.scoring.platt import Scaling
from entsemble.scoring.stacking import Weights

FILE = Path(__file__).with_name("pretrained.json")


@dataclass(frozen=True, slots=True)
class Column:
    """What a number is worth: its coefficient where it is centred by its mean and divided by its scale."""

    mean: float
    scale: float
    coefficient: float


@dataclass(frozen=True, slots=True)
class Prior:
    """What other corpora taught.

    Attributes:
        columns: of `Evidence.columns`, the members' means in the place of each member's own.
        intercept, nesting, threshold, scaling: see `Weights`.
        learnt_from: which corpora, and how many of their sentences.
    """

    columns: Mapping[str, Column]
    intercept: float
    nesting: float
    threshold: float
    scaling: Scaling
    learnt_from: Mapping[str, int]

    def weights(self, columns: Sequence[str], *, looks: bool) -> Weights:
        """For evidence with these columns: what the members' mean is worth, each of them has an equal part of."""
        known = [self.columns[name] for name in columns]
        shares = [c.coefficient / columns.count(name) for name, c in zip(columns, known, strict=True)]
        mean, scale = tuple(c.mean for c in known), tuple(c.scale for c in known)
        learnt = tuple(shares), self.intercept, self.nesting, self.threshold
        return Weights(mean, scale, *learnt, sentences=0, looks=looks, scaling=self.scaling)

    def to_json(self) -> str:
        """As text, exact."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Prior:
        """What `to_json` wrote."""
        told = json.loads(text)
        columns = {name: Column(**own) for name, own in told["columns"].items()}
        return cls(**{**told, "columns": columns, "scaling": Scaling(**told["scaling"])})


@cache
def shipped() -> Prior:
    """What entsemble comes with."""
    return Prior.from_json(FILE.read_text(encoding="utf-8"))
