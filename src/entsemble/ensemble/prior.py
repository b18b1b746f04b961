"""What the votes of small models were worth on other corpora: believed before a pool has taught anything.

What a vote, a known name or a capital letter is worth differs from corpus to corpus, but far less than it differs from
nothing at all. So what was learnt on corpora that anybody may use (`pack/prior.py`, kept in `prior.json`) is where
learning starts, and judges alone where a pool is too small to teach: empirical Bayes. It knows no member and no label:
all members have the same part in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from entsemble.ensemble.evidence import OF_A_MEMBER, Matrix
from entsemble.ensemble.stacking import Weights, fitted

FILE = Path(__file__).with_name("prior.json")

_RIDGE = 3.0


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
        intercept: see `Weights`.
        threshold: see `Weights`.
        learnt_from: which corpora, and how many of their sentences.
    """

    columns: Mapping[str, Column]
    intercept: float
    threshold: float
    learnt_from: Mapping[str, int]

    def weights(self, columns: Sequence[str], *, looks: bool) -> Weights:
        """For evidence with these columns: what the members' mean is worth, each of them has an equal part of."""
        known = [self.columns[name] for name in columns]
        shares = [c.coefficient / columns.count(name) for name, c in zip(columns, known, strict=True)]
        mean, scale = tuple(c.mean for c in known), tuple(c.scale for c in known)
        return Weights(mean, scale, tuple(shares), self.intercept, self.threshold, 0, looks)

    def to_json(self) -> str:
        """As text, exact."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Prior:
        """What `to_json` wrote."""
        told = json.loads(text)
        return cls(**{**told, "columns": {name: Column(**own) for name, own in told["columns"].items()}})


@cache
def shipped() -> Prior:
    """What entsemble comes with."""
    return Prior.from_json(FILE.read_text(encoding="utf-8"))


def members_as_one(features: Matrix, columns: Sequence[str]) -> Matrix:
    """[labels, columns] -> [labels, columns of one member], of those that are known their mean."""
    first = 1
    width = len(OF_A_MEMBER)
    last = first + width * (columns.count(OF_A_MEMBER[0]))
    each = features[:, first:last].reshape(len(features), -1, width)
    mean = np.ma.masked_invalid(each).mean(axis=1).filled(np.nan)
    return np.hstack([features[:, :first], mean, features[:, last:]])


def learn_prior(candidates: Sequence[Matrix], right: Sequence[Matrix], columns: Sequence[str]) -> Weights:
    """Learn from candidates of many corpora, from a belief in the soft vote on.

    Args:
        candidates: of each, [labels, columns], the members as one.
        right: of each, [labels]: 1 where it is one.
        columns: their names, the vote's score first.
    """
    features = np.ma.masked_invalid(np.concatenate(candidates))
    mean, spread = features.mean(axis=0), features.std(axis=0)
    vote = np.arange(len(columns)) == 0
    scale = np.where(spread > 0, spread, 1.0)
    start = Weights(
        tuple(mean.tolist()),
        tuple(scale.tolist()),
        tuple(np.where(vote, scale, 0.0).tolist()),
        float(mean[0]),
        0.0,
        0,
    )
    return fitted(candidates, right, start, _RIDGE)
