"""What each rule of the ensemble is worth: one run of the members, and every rule read off their ballots.

    python -m benchmarks.quality.claims [--only conll2003]

On training data alone, as `compare.py`, and with the same samples. The members answer each sentence once: they propose,
and each types the union, as EL4NER does (arXiv 2505.23038), without verification and without the pool's own voice. What
other rules would have said of the same ballots costs nothing more: each member alone, the spans of one member or only
those that all propose, typed by all, and a majority in the place of the soft vote. One result a corpus, with the counts
of each rule on each sentence; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.common import ENGINE, corpora_folder, run_missing, with_fastest_engine
from benchmarks.quality.compare import RESULTS, SEED, TRAIN, counted, draw
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

POOL = {"conll2003": 3000, "wnut17": 2000, "crossner-ai": 60}
SENTENCES = {"conll2003": 100, "wnut17": 100, "crossner-ai": 40}

Rule = Callable[[Sequence[Ballot]], tuple[VotingRule, float, Sequence[Ballot]] | None]
"""The ballots on a span -> how they are put together, the least score, and those that count; `None`: it is no span."""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="corpora, separated by commas")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else POOL
    run_missing(
        RESULTS / "claims", wanted, "python -m benchmarks.quality.claims --only {}", measure, {"engine": ENGINE}
    )


def measure(corpus: str) -> dict[str, object]:
    """Every rule on a corpus."""
    pool, scored = draw(list(read(corpora_folder() / TRAIN[corpus])), POOL[corpus], SENTENCES[corpus])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        write(pool, path)
        settings = with_fastest_engine(
            load(overrides={"pool": {"path": path, "gazetteer": 0}, "classification": {"vote": "soft"}})
        )
        with Assembly(settings, environment(), held_out=scored) as assembly:
            pipeline = assembly.extractor().pipeline
            names = [member.name for member in pipeline.members]

            def answer(document: Document) -> SentenceResult | None:
                try:
                    return pipeline.run(document.text)
                except PromptTooLongError:
                    return None

            results = list(LocalMapper(assembly.models.worker_count()).map(answer, scored))
    if None in results:
        sys.exit(f"{results.count(None)} sentences do not fit a member's context")
    nested = pipeline.labels.nested
    told: dict[str, list[list[int]]] = {}
    for name, rule in rules(names):
        found = [said(d, r, rule, nested=nested) for d, r in zip(scored, results, strict=True) if r]
        told[name] = counted(scored, found)
        print(corpus, name, f"{sum((Counts(*one) for one in told[name]), Counts()).f1:.3f}", flush=True)
    return {
        "corpus": corpus,
        "seed": SEED,
        "pool": len(pool),
        "rules": told,
    }


def rules(members: Sequence[str]) -> Iterator[tuple[str, Rule]]:
    """By name, the ensemble's own first."""
    soft, majority = VOTING_RULES["soft"], VOTING_RULES["majority"]
    yield "union, soft vote", lambda ballots: (soft, DEFAULT_THRESHOLD, ballots)
    yield "union, majority vote", lambda ballots: (majority, 0.0, ballots)
    yield (
        "intersection, soft vote",
        lambda ballots: (soft, DEFAULT_THRESHOLD, ballots) if all(b.is_proposer for b in ballots) else None,
    )
    for name in members:
        yield f"spans of {name}, soft vote", _of(name, alone=False)
    for name in members:
        yield f"{name} alone", _of(name, alone=True)


def _of(member: str, *, alone: bool) -> Rule:
    def rule(ballots: Sequence[Ballot]) -> tuple[VotingRule, float, Sequence[Ballot]] | None:
        own = [b for b in ballots if b.voter == member]
        return (
            (VOTING_RULES["soft"], DEFAULT_THRESHOLD, own if alone else ballots)
            if any(b.is_proposer for b in own)
            else None
        )

    return rule


def said(document: Document, result: SentenceResult, rule: Rule, *, nested: bool) -> Sequence[Mention]:
    """What a rule makes of the ballots on a sentence."""
    mentions = []
    for span, verdict in result.verdicts.items():
        if found := rule(verdict.ballots):
            vote, least, ballots = found
            own = vote(ballots)
            if own.label != NONE_LABEL and own.score >= least:
                mentions.append(Mention(span.start, span.end, own.label, span.slice(document.text), own.score))
    return resolve_overlaps(mentions, nested=nested)[0]


if __name__ == "__main__":
    main()
