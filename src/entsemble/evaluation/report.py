"""The report `entsemble.report/1`: one frozen value, one JSON object.

The JSON keys are described in `docs/reference/report.md`. What was not measured is `null`, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from entsemble.errors import DataError
from entsemble.evaluation.bipartite import Triple
from entsemble.evaluation.bootstrap import f1_interval
from entsemble.evaluation.calibration import Reliability, measure_reliability
from entsemble.evaluation.counts import Counts, LabelCounts
from entsemble.evaluation.documents import DocumentPair, stream_pairs
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
from entsemble.evaluation.tally import DocumentTally, LabelTally, ScoreTally
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

_UNMEASURED_STAGES: Mapping[str, Mapping[str, None]] = {
    "extraction": {"precision": None, "recall": None},
    "classification": {"accuracy": None},
    "verification": {"precision": None, "recall": None},
}


@dataclass(frozen=True, slots=True)
class CorpusCounts:
    """All counts of a document or, as their sum, of a corpus."""

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


_NO_LABELS = LabelCounts()


def count_document(gold: Sequence[Mention], predicted: Sequence[Mention]) -> CorpusCounts:
    """All counts of one document."""
    return CorpusCounts(
        exact=exact_counts(gold, predicted),
        relaxed=relaxed_counts(gold, predicted),
        spans=span_counts(gold, predicted),
        nested=nested_counts(gold, predicted),
        errors=count_errors(gold, predicted),
    )


@dataclass(frozen=True, slots=True)
class Report:
    """The evaluation of predicted documents against gold documents.

    Attributes:
        counts: of the corpus.
        document_counts: gold document id -> exact counts, for paired tests against another report.
        f1_ci95: 95 % bootstrap interval of micro F1.
        member_counts: member name -> exact counts of what it would have predicted alone.
        stages: counts of the pipeline's stages, if recorded.
        reliability: calibration of the scores, if mentions have scores.
        cost: `COST_KEYS` -> value, `None` if not measured.
        config: the settings of the run.
        seed: of the run, and of the bootstrap.
        missing_documents: ids of gold documents without a predicted document.
    """

    counts: CorpusCounts
    document_counts: Mapping[str, Counts]
    f1_ci95: tuple[float, float]
    member_counts: Mapping[str, Counts]
    stages: StageCounts | None
    reliability: Reliability | None
    cost: Mapping[str, float | None]
    config: Mapping[str, Any]
    seed: int
    missing_documents: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; see `docs/reference/report.md`."""
        stages = (
            self.stages.to_json() if self.stages else {key: dict(ratios) for key, ratios in _UNMEASURED_STAGES.items()}
        )
        return {
            "schema": SCHEMA,
            "micro": {**self.counts.exact.micro.to_json(), "f1_ci95": list(self.f1_ci95)},
            "labels": {label: _label_to_json(counts) for label, counts in self.counts.exact.items()},
            "members": {name: {"f1": counts.f1} for name, counts in self.member_counts.items()},
            "stages": stages,
            "calibration": {"ece": self.reliability.ece if self.reliability else None},
            "cost": dict(self.cost),
            "config": dict(self.config),
            "seed": self.seed,
            "relaxed": self.counts.relaxed.micro.to_json(),
            "spans": self.counts.spans.to_json(),
            **({"nested": self.counts.nested.to_json()} if self.counts.nested.has_nested else {}),
            "errors": self.counts.errors.to_json(),
            "reliability": self.reliability.to_json() if self.reliability else None,
            "stage_counts": self.stages.counts_to_json() if self.stages else None,
            "documents": {
                document_id: [counts.tp, counts.fp, counts.fn] for document_id, counts in self.document_counts.items()
            },
            "missing_documents": list(self.missing_documents),
        }


def _label_to_json(counts: Counts) -> dict[str, Any]:
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1, "support": counts.support}


def build_report(
    gold_documents: Iterable[Document],
    predicted_documents: Iterable[Document],
    *,
    members: Mapping[str, Sequence[Document]] | None = None,
    stages: StageCounts | None = None,
    cost: Mapping[str, float | None] | None = None,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
    on_pair: Callable[[int, DocumentPair], None] | None = None,
) -> Report:
    """Score predicted documents against gold ones, paired by id.

    Args:
        gold_documents: documents with gold mentions.
        predicted_documents: the same documents with predicted mentions; a missing one counts as without predictions.
            Without `members`, documents are not held in memory if both are in the same order.
        members: member name -> documents with what it would have predicted alone.
        stages: sum of `count_stages` over the texts.
        cost: any of `COST_KEYS`; `documents` defaults to the number of gold documents.
        config: the settings of the run, as JSON values.
        seed: of the run; also used for the bootstrap.
        on_pair: called with each pair, and the position of its gold document.

    Raises:
        DataError: the documents cannot be paired (see `stream_pairs`), or a score is not in [0, 1].
        ValueError: `cost` has an unknown key.
    """
    gold = tuple(gold_documents) if members else gold_documents
    exact, relaxed, others = LabelTally(), LabelTally(), CorpusCounts()
    documents, scores = DocumentTally(), ScoreTally()
    missing_ids = []
    for position, pair in stream_pairs(gold, predicted_documents):
        counts = count_document(pair.gold.mentions, pair.predicted_mentions)
        exact.add(counts.exact)
        relaxed.add(counts.relaxed)
        others += replace(counts, exact=_NO_LABELS, relaxed=_NO_LABELS)
        documents.add(position, pair.gold.id, counts.exact.micro)
        scores.add(position, scored_mentions(pair))
        if pair.predicted is None:
            missing_ids.append(pair.gold.id)
        if on_pair:
            on_pair(position, pair)
    exact_by_document = documents.by_id
    return Report(
        counts=replace(others, exact=exact.counts, relaxed=relaxed.counts),
        document_counts=exact_by_document,
        f1_ci95=f1_interval(tuple(exact_by_document.values()), seed=seed),
        member_counts={name: _micro_counts(gold, predictions) for name, predictions in (members or {}).items()},
        stages=stages,
        reliability=measure_reliability(*scores.columns) if len(scores) else None,
        cost=_complete_cost(cost or {}, len(documents)),
        config=dict(config or {}),
        seed=seed,
        missing_documents=tuple(missing_ids),
    )


def _micro_counts(gold: Iterable[Document], predicted: Iterable[Document]) -> Counts:
    pairs = stream_pairs(gold, predicted)
    return sum((exact_counts(pair.gold.mentions, pair.predicted_mentions).micro for _, pair in pairs), Counts())


def _complete_cost(cost: Mapping[str, float | None], documents: int) -> dict[str, float | None]:
    unknown_keys = sorted(cost.keys() - set(COST_KEYS))
    if unknown_keys:
        raise ValueError(f"unknown cost key {unknown_keys[0]!r}; the report has {', '.join(COST_KEYS)}")
    return {key: cost.get(key, documents if key == "documents" else None) for key in COST_KEYS}


def scored_mentions(pair: DocumentPair) -> list[tuple[float, bool]]:
    """Score and correctness of each distinct predicted mention that has a score; of duplicates, the highest score.

    Raises:
        DataError: a score is not in [0, 1].
    """
    best_scores: dict[Triple, float] = {}
    for mention in pair.predicted_mentions:
        if mention.score is not None:
            if not 0 <= mention.score <= 1:
                raise DataError(
                    f"document {pair.gold.id!r}: the score of {mention.text!r} must lie in [0, 1], got {mention.score}"
                )
            key = (mention.start, mention.end, mention.label)
            best_scores[key] = max(mention.score, best_scores.get(key, 0.0))
    gold_triples = triples(pair.gold.mentions)
    return [(score, key in gold_triples) for key, score in best_scores.items()]
