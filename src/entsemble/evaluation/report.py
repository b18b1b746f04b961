"""The report `entsemble.report/1`: one frozen value, one JSON object.

What was not measured is `null`, never 0. Beside what the schema names, the JSON object holds:

- `relaxed`, `spans`: precision, recall, f1, tp, fp and fn under `matching.relaxed` and `matching.spans_only`.
- `nested`: `inside` and `outermost`, each precision, recall, f1, gold, found, predicted and right (see
  `matching.PartCounts`); there only where a gold or a predicted mention lies inside another.
- `errors`: missed, spurious, wrong_label, wrong_boundary and both (see `mistakes.Mistakes`).
- `reliability`: scored, the interval of the error (`ece_ci95`), what chance alone makes of it (`ece_by_chance`), how
  often true scores would have as much (`p_value`), brier and the bins that `calibration.ece` comes from; `null` where
  no mention has a score.
- `stage_counts`: the counts that `stages` comes from; `null` where the stages were not watched.
- `documents`: id -> right, wrong and missed mentions, exact, so that two reports on the same documents can be compared
  in pairs (`bootstrap.compare`).
- `missing_documents`: ids of gold documents that nobody answered; all their mentions count as missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entsemble.errors import DataError
from entsemble.evaluation.bootstrap import interval
from entsemble.evaluation.calibration import Reliability, reliability
from entsemble.evaluation.counts import Counts, LabelCounts
from entsemble.evaluation.documents import Pair, pair
from entsemble.evaluation.error_analysis import Mistakes, mistakes
from entsemble.evaluation.matching import NestedCounts, exact, nested, relaxed, spans_only, triples
from entsemble.evaluation.stages import StageCounts
from entsemble.types import Document, Mention

SCHEMA = "entsemble.report/1"

COST_KEYS = (
    "documents",
    "sentences",
    "seconds",
    "prompt_tokens_submitted",
    "prompt_tokens_evaluated",
    "generated_tokens",
    "parameters",
    "model_calls",
    "answered_by_cache",
)

_UNWATCHED: Mapping[str, Mapping[str, None]] = {
    "extraction": {"precision": None, "recall": None},
    "classification": {"accuracy": None},
    "verification": {"precision": None, "recall": None},
}


@dataclass(frozen=True, slots=True)
class Tally:
    """All counts of a document, or of a corpus: the sum of its documents'."""

    exact: LabelCounts = field(default_factory=LabelCounts)
    relaxed: LabelCounts = field(default_factory=LabelCounts)
    spans: Counts = field(default_factory=Counts)
    nested: NestedCounts = field(default_factory=NestedCounts)
    mistakes: Mistakes = field(default_factory=Mistakes)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.exact + other.exact,
            self.relaxed + other.relaxed,
            self.spans + other.spans,
            self.nested + other.nested,
            self.mistakes + other.mistakes,
        )


def tally(gold: Sequence[Mention], predicted: Sequence[Mention]) -> Tally:
    """All counts of one document."""
    return Tally(
        exact(gold, predicted),
        relaxed(gold, predicted),
        spans_only(gold, predicted),
        nested(gold, predicted),
        mistakes(gold, predicted),
    )


@dataclass(frozen=True, slots=True)
class Report:
    """How good an answer is.

    Attributes:
        total: counts of the corpus.
        documents: gold id -> exact counts, for paired tests against another report (`bootstrap.compare`).
        f1_ci95: 95 % bootstrap interval of the micro F1.
        members: member name -> counts of what it would have answered alone.
        stages: counts of the pipeline's stages, where they were watched.
        reliability: scores against truth, where mentions have scores.
        cost: the schema's cost keys, `None` for what was not measured.
        config: the settings that made the answer.
        seed: of the run, and of the bootstrap.
        missing: ids of gold documents that nobody answered.
    """

    total: Tally
    documents: Mapping[str, Counts]
    f1_ci95: tuple[float, float]
    members: Mapping[str, Counts]
    stages: StageCounts | None
    reliability: Reliability | None
    cost: Mapping[str, float | None]
    config: Mapping[str, Any]
    seed: int
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as the schema and this module's docstring have it."""
        return {
            "schema": SCHEMA,
            "micro": {**self.total.exact.micro.to_json(), "f1_ci95": list(self.f1_ci95)},
            "labels": {label: _label_to_json(counts) for label, counts in self.total.exact.items()},
            "members": {name: {"f1": counts.f1} for name, counts in self.members.items()},
            "stages": self.stages.to_json() if self.stages else {k: dict(v) for k, v in _UNWATCHED.items()},
            "calibration": {"ece": self.reliability.ece if self.reliability else None},
            "cost": dict(self.cost),
            "config": dict(self.config),
            "seed": self.seed,
            **self._extras(),
        }

    def _extras(self) -> dict[str, Any]:
        """The keys that this module's docstring adds to the schema."""
        return {
            "relaxed": self.total.relaxed.micro.to_json(),
            "spans": self.total.spans.to_json(),
            **({"nested": self.total.nested.to_json()} if self.total.nested.any else {}),
            "errors": self.total.mistakes.to_json(),
            "reliability": self.reliability.to_json() if self.reliability else None,
            "stage_counts": self.stages.counts_to_json() if self.stages else None,
            "documents": {name: [c.tp, c.fp, c.fn] for name, c in self.documents.items()},
            "missing_documents": list(self.missing),
        }


def _label_to_json(counts: Counts) -> dict[str, Any]:
    ratios = {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
    return {**ratios, "support": counts.support}


def build_report(
    gold_documents: Iterable[Document],
    predicted_documents: Iterable[Document],
    *,
    members: Mapping[str, Sequence[Document]] | None = None,
    stages: StageCounts | None = None,
    cost: Mapping[str, float | None] | None = None,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Report:
    """Score predicted documents against gold ones, paired by id.

    Args:
        gold_documents: documents with gold mentions.
        predicted_documents: the same documents with predicted mentions; one left out counts as unanswered.
        members: member name -> documents with what it would have answered alone.
        stages: sum of `stage_counts` over the texts.
        cost: any of `COST_KEYS`; `documents` is counted where it is not given.
        config: the settings that made the answer, ready for JSON.
        seed: of the run; the bootstrap uses it too.

    Raises:
        DataError: the documents cannot be paired (see `pairing.pair`), or a score is not in [0, 1].
        ValueError: `cost` holds a key that the schema does not.
    """
    gold = tuple(gold_documents)
    paired = pair(gold, predicted_documents)
    tallies = [tally(x.gold.mentions, x.answers) for x in paired]
    documents = {x.gold.id: one.exact.micro for x, one in zip(paired, tallies, strict=True)}
    return Report(
        total=sum(tallies, Tally()),
        documents=documents,
        f1_ci95=interval(tuple(documents.values()), seed=seed),
        members={name: _micro(gold, answers) for name, answers in (members or {}).items()},
        stages=stages,
        reliability=_reliability(paired),
        cost=_cost(cost or {}, len(gold)),
        config=dict(config or {}),
        seed=seed,
        missing=tuple(x.gold.id for x in paired if x.predicted is None),
    )


def _micro(gold: Sequence[Document], predicted: Sequence[Document]) -> Counts:
    return sum((exact(x.gold.mentions, x.answers).micro for x in pair(gold, predicted)), Counts())


def _cost(given: Mapping[str, float | None], documents: int) -> dict[str, float | None]:
    unknown = sorted(given.keys() - set(COST_KEYS))
    if unknown:
        raise ValueError(f"the report has no cost {unknown[0]!r}; it has {', '.join(COST_KEYS)}")
    return {key: given.get(key) for key in COST_KEYS} | ({} if "documents" in given else {"documents": documents})


def _reliability(paired: Sequence[Pair]) -> Reliability | None:
    """The reliability table of the mentions that have a score; `None` where none has."""
    answers = [(*answer, text) for text, one in enumerate(paired) for answer in scored_answers(one)]
    if not answers:
        return None
    scores, truth, texts = zip(*answers, strict=True)
    return reliability(scores, truth, texts)


def scored_answers(one: Pair) -> list[tuple[float, bool]]:
    """Score and truth of each different predicted mention that has a score; of equal ones the surest."""
    best: dict[tuple[int, int, str], float] = {}
    for m in one.answers:
        if m.score is not None:
            if not 0 <= m.score <= 1:
                raise DataError(f"document {one.gold.id!r}: the score of {m.text!r} must lie in [0, 1], got {m.score}")
            key = (m.start, m.end, m.label)
            best[key] = max(m.score, best.get(key, 0.0))
    wanted = triples(one.gold.mentions)
    return [(score, key in wanted) for key, score in best.items()]
