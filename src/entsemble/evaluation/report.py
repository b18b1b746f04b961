"""The report `entsemble.report/1`: one frozen value, one JSON object.

The JSON keys are described in `docs/reference/report.md`. What was not measured is `null`, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entsemble.errors import DataError
from entsemble.evaluation.bootstrap import f1_interval
from entsemble.evaluation.calibration import Reliability, measure_reliability
from entsemble.evaluation.counts import Counts, LabelCounts
from entsemble.evaluation.documents import DocumentPair, pair_documents
from entsemble.evaluation.error_analysis import ErrorCounts, count_errors
from entsemble.evaluation.matching import (
    NestedCounts,
    exact_counts,
    nested_counts,
    relaxed_counts,
    span_counts,
    triples,
)
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
    "cache_hits",
)

_UNWATCHED: Mapping[str, Mapping[str, None]] = {
    "extraction": {"precision": None, "recall": None},
    "classification": {"accuracy": None},
    "verification": {"precision": None, "recall": None},
}


@dataclass(frozen=True, slots=True)
class CorpusCounts:
    """All counts of a document, or of a corpus: the sum of its documents'."""

    exact: LabelCounts = field(default_factory=LabelCounts)
    relaxed: LabelCounts = field(default_factory=LabelCounts)
    spans: Counts = field(default_factory=Counts)
    nested: NestedCounts = field(default_factory=NestedCounts)
    errors: ErrorCounts = field(default_factory=ErrorCounts)

    def __add__(self, other: CorpusCounts) -> CorpusCounts:
        return CorpusCounts(
            self.exact + other.exact,
            self.relaxed + other.relaxed,
            self.spans + other.spans,
            self.nested + other.nested,
            self.errors + other.errors,
        )


def count_document(gold: Sequence[Mention], predicted: Sequence[Mention]) -> CorpusCounts:
    """All counts of one document."""
    return CorpusCounts(
        exact_counts(gold, predicted),
        relaxed_counts(gold, predicted),
        span_counts(gold, predicted),
        nested_counts(gold, predicted),
        count_errors(gold, predicted),
    )


@dataclass(frozen=True, slots=True)
class Report:
    """How good an answer is.

    Attributes:
        counts: of the corpus.
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

    counts: CorpusCounts
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
            "micro": {**self.counts.exact.micro.to_json(), "f1_ci95": list(self.f1_ci95)},
            "labels": {label: _label_to_json(counts) for label, counts in self.counts.exact.items()},
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
            "relaxed": self.counts.relaxed.micro.to_json(),
            "spans": self.counts.spans.to_json(),
            **({"nested": self.counts.nested.to_json()} if self.counts.nested.has_nested else {}),
            "errors": self.counts.errors.to_json(),
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
    paired = pair_documents(gold, predicted_documents)
    tallies = [count_document(x.gold.mentions, x.predicted_mentions) for x in paired]
    documents = {x.gold.id: one.exact.micro for x, one in zip(paired, tallies, strict=True)}
    return Report(
        counts=sum(tallies, CorpusCounts()),
        documents=documents,
        f1_ci95=f1_interval(tuple(documents.values()), seed=seed),
        members={name: _micro(gold, answers) for name, answers in (members or {}).items()},
        stages=stages,
        reliability=_reliability(paired),
        cost=_cost(cost or {}, len(gold)),
        config=dict(config or {}),
        seed=seed,
        missing=tuple(x.gold.id for x in paired if x.predicted is None),
    )


def _micro(gold: Sequence[Document], predicted: Sequence[Document]) -> Counts:
    return sum(
        (exact_counts(x.gold.mentions, x.predicted_mentions).micro for x in pair_documents(gold, predicted)), Counts()
    )


def _cost(given: Mapping[str, float | None], documents: int) -> dict[str, float | None]:
    unknown = sorted(given.keys() - set(COST_KEYS))
    if unknown:
        raise ValueError(f"the report has no cost {unknown[0]!r}; it has {', '.join(COST_KEYS)}")
    return {key: given.get(key) for key in COST_KEYS} | ({} if "documents" in given else {"documents": documents})


def _reliability(paired: Sequence[DocumentPair]) -> Reliability | None:
    """The reliability table of the mentions that have a score; `None` where none has."""
    answers = [(*answer, text) for text, one in enumerate(paired) for answer in scored_mentions(one)]
    if not answers:
        return None
    scores, truth, texts = zip(*answers, strict=True)
    return measure_reliability(scores, truth, texts)


def scored_mentions(one: DocumentPair) -> list[tuple[float, bool]]:
    """Score and truth of each different predicted mention that has a score; of equal ones the surest."""
    best: dict[tuple[int, int, str], float] = {}
    for m in one.predicted_mentions:
        if m.score is not None:
            if not 0 <= m.score <= 1:
                raise DataError(f"document {one.gold.id!r}: the score of {m.text!r} must lie in [0, 1], got {m.score}")
            key = (m.start, m.end, m.label)
            best[key] = max(m.score, best.get(key, 0.0))
    wanted = triples(one.gold.mentions)
    return [(score, key in wanted) for key, score in best.items()]
