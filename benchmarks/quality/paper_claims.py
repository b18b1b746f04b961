"""EL4NER's claims about voting: several rules on the same ballots of one run of the members.

    python -m benchmarks.quality.paper_claims [--only conll2003]

On training data only, with the samples of `compare.py`. The members answer each sentence once: they propose spans, and
each classifies the union, as in EL4NER (arXiv 2505.23038), without verification and without the gazetteer. Other rules
on the same ballots cost nothing more: each member alone, the spans of one member or of all members only, classified by
all, and a majority vote instead of the soft vote. There is one result for each corpus, with the counts of each rule on
each sentence; stored results are not measured again.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.common import ENGINE, corpora_folder, parse_corpora, run_missing, with_fastest_engine
from benchmarks.quality.compare import RESULTS, SEED, count_sentences, sample_pool_and_scored
from benchmarks.quality.corpora import corpus_named
from entsemble.assembly import Assembly
from entsemble.data.formats import read, write
from entsemble.errors import PromptTooLongError
from entsemble.evaluation.counts import Counts
from entsemble.execution.threads import LocalMapper
from entsemble.ner.decision import DEFAULT_THRESHOLD
from entsemble.ner.results import SentenceResult
from entsemble.settings import environment, load
from entsemble.types import NONE_LABEL, Document, Mention
from entsemble.voting.overlaps import resolve_overlaps
from entsemble.voting.rules import VOTING_RULES, Ballot, VotingRule

POOL_SIZES = {"conll2003": 3000, "wnut17": 2000, "crossner-ai": 60}
SENTENCES = {"conll2003": 100, "wnut17": 100, "crossner-ai": 40}

Rule = Callable[[Sequence[Ballot]], tuple[VotingRule, float, Sequence[Ballot]] | None]
"""The ballots on a span -> voting rule, threshold, and the ballots that count; `None` if the span is no candidate."""


def main() -> None:
    """Measure what is missing."""
    names = parse_corpora(__doc__, POOL_SIZES)
    command = "python -m benchmarks.quality.paper_claims --only {}"
    run_missing(RESULTS / "paper_claims", names, command, measure, {"engine": ENGINE})


def measure(corpus: str) -> dict[str, object]:
    """Counts of all rules on a corpus."""
    documents = list(read(corpora_folder() / corpus_named(corpus).train))
    pool, scored = sample_pool_and_scored(documents, POOL_SIZES[corpus], SENTENCES[corpus])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        write(pool, path)
        overrides = {"pool": {"path": path, "gazetteer": 0}, "classification": {"vote": "soft"}}
        settings = with_fastest_engine(load(preset="balanced", overrides=overrides))
        with Assembly(settings, environment(), held_out=scored) as assembly:
            pipeline = assembly.extractor().pipeline
            member_names = [member.name for member in pipeline.members]

            def answer(document: Document) -> SentenceResult | None:
                try:
                    return pipeline.run(document.text)
                except PromptTooLongError:
                    return None

            results = list(LocalMapper(assembly.models.worker_count()).map(answer, scored))
    if None in results:
        sys.exit(f"{results.count(None)} sentences do not fit a member's context")
    nested = pipeline.labels.nested
    counts_by_rule: dict[str, list[list[int]]] = {}
    for name, rule in voting_rules(member_names):
        mentions = [
            apply_rule(document, result, rule, nested=nested)
            for document, result in zip(scored, results, strict=True)
            if result
        ]
        counts_by_rule[name] = count_sentences(scored, mentions)
        total = sum((Counts(*counts) for counts in counts_by_rule[name]), Counts())
        print(corpus, name, f"{total.f1:.3f}", flush=True)
    return {"corpus": corpus, "seed": SEED, "pool": len(pool), "rules": counts_by_rule}


def voting_rules(member_names: Sequence[str]) -> Iterator[tuple[str, Rule]]:
    """All rules by name, that of the ensemble first."""
    soft, majority = VOTING_RULES["soft"], VOTING_RULES["majority"]
    yield "union, soft vote", lambda ballots: (soft, DEFAULT_THRESHOLD, ballots)
    yield "union, majority vote", lambda ballots: (majority, 0.0, ballots)

    def intersection(ballots: Sequence[Ballot]) -> tuple[VotingRule, float, Sequence[Ballot]] | None:
        are_unanimous = all(ballot.is_proposer for ballot in ballots)
        return (soft, DEFAULT_THRESHOLD, ballots) if are_unanimous else None

    yield "intersection, soft vote", intersection
    for name in member_names:
        yield f"spans of {name}, soft vote", _spans_of(name, votes_alone=False)
    for name in member_names:
        yield f"{name} alone", _spans_of(name, votes_alone=True)


def _spans_of(member_name: str, *, votes_alone: bool) -> Rule:
    def rule(ballots: Sequence[Ballot]) -> tuple[VotingRule, float, Sequence[Ballot]] | None:
        member_ballots = [ballot for ballot in ballots if ballot.voter == member_name]
        if not any(ballot.is_proposer for ballot in member_ballots):
            return None
        return VOTING_RULES["soft"], DEFAULT_THRESHOLD, member_ballots if votes_alone else ballots

    return rule


def apply_rule(document: Document, result: SentenceResult, rule: Rule, *, nested: bool) -> Sequence[Mention]:
    """The mentions of a sentence by a rule on its ballots."""
    mentions = []
    for span, verdict in result.verdicts.items():
        if decision := rule(verdict.ballots):
            vote, threshold, ballots = decision
            outcome = vote(ballots)
            if outcome.label != NONE_LABEL and outcome.score >= threshold:
                text = span.slice(document.text)
                mentions.append(Mention(span.start, span.end, outcome.label, text, outcome.score))
    return resolve_overlaps(mentions, nested=nested)[0]


if __name__ == "__main__":
    main()
