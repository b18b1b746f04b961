"""Learn what the votes of the embedded models are worth on open corpora, into `src/entsemble/scoring/pretrained.json`.

    python -m tools.release.scorer

Needs the corpora: the folder that ENTSEMBLE_DATA names. `prior.toml` says which, how many sentences of each, and their
licences. Of each file the first part shows and the last is answered, so that documents are not on both sides. Replies
are kept, so that what was stopped goes on where it was. How well what the other corpora taught does on each of them,
beside votes that are counted, is written to `benchmarks/quality/results/prior`.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.common import ROOT, corpora_folder, run_once
from benchmarks.quality.compare import counted

from entsemble._lib import toml
from entsemble._lib.math import FloatArray
from entsemble.assembly import Assembly, SelectionInputs, adapt_to_documents, without_mentions
from entsemble.assembly.stacking import proposes_capitalised
from entsemble.data.formats import read, write
from entsemble.data.windows import sentence_splitter
from entsemble.execution.threads import LocalMapper
from entsemble.ner.decision import DEFAULT_THRESHOLD
from entsemble.ner.pipeline import Pipeline
from entsemble.pool.capitalised import CapitalisedProposer
from entsemble.pool.naive_bayes import NaiveBayesProposer
from entsemble.pool.word_counts import WordStatistics
from entsemble.scoring.examples import ScoredSentence, TrainingExample
from entsemble.scoring.features import MEMBER_FEATURES
from entsemble.scoring.fit import fit_map
from entsemble.scoring.model import StackingModel
from entsemble.scoring.platt import IDENTITY, PlattScaling, fit_platt
from entsemble.scoring.pretrained import PRETRAINED_FILE, FeatureWeight, PretrainedModel
from entsemble.scoring.threshold import THRESHOLD_FRACTION_OF_MAX_F1, expected_max_f1, selected_mentions
from entsemble.settings import environment, load
from entsemble.types import Document, LabelSet, Mention
from entsemble.voting.overlaps import resolve_overlaps

PLAN = Path(__file__).with_name("prior.toml")
RESULTS = ROOT / "benchmarks" / "quality" / "results" / "prior"
SEED = 1
RIDGE = 3.0
"""Inverse variance of the coefficients: of so many candidates it matters little."""

SPREAD = 10.0, 10.0
"""Of slope and intercept about a score that is the probability: nothing is believed of them."""

_SHOWS, _ANSWERED = 0.65, 0.7
"""Of a file, up to where it shows, and from where on it is answered."""


@dataclass(frozen=True, slots=True)
class Taught:
    """What one corpus tells: its answers, the members as one, the columns of their features, and its labels."""

    name: str
    pool: int
    answered: list[ScoredSentence]
    columns: tuple[str, ...]
    labels: LabelSet

    @property
    def lessons(self) -> list[TrainingExample]:
        """What each sentence teaches."""
        return [a.to_example(self.labels) for a in self.answered]


def main() -> None:
    """Answer, learn, and tell of each corpus what the others teach."""
    taught = every_corpus()
    by_others = [learnt_of([t for t in taught if t.name != own.name]) for own in taught]
    best = [
        expected_max_f1(own.answered, scored_by(w, own), own.labels) for own, w in zip(taught, by_others, strict=True)
    ]
    for number, (own, weights) in enumerate(zip(taught, by_others, strict=True)):
        others = [f1 for f1, t in zip(best, taught, strict=True) if t.name != own.name]
        rules = {  # both of the same answers; a vote believes nothing that no member and no name of the pool proposed
            "votes counted": counted([a.document for a in own.answered], [_voted(a, own.labels) for a in own.answered]),
            "what the other corpora taught": counted(
                [a.document for a in own.answered],
                found_by(weights, own, THRESHOLD_FRACTION_OF_MAX_F1 * float(np.mean(others))),
            ),
        }
        result: dict[str, object] = {"corpus": f"{own.name}, pool of {own.pool}", "seed": SEED, "rules": rules}
        run_once(RESULTS / f"{number}.json", "python -m tools.release.scorer", partial(dict, result), force=True)
    weights = learnt_of(taught)
    told = zip(weights.feature_means, weights.feature_scales, weights.coefficients, strict=True)
    worth = [FeatureWeight(*(round(x, 4) for x in column)) for column in told]
    sentences = {t.name: 0 for t in taught}
    for own in taught:
        sentences[own.name] += len(own.answered)
    least = THRESHOLD_FRACTION_OF_MAX_F1 * float(np.mean(best))
    scaling = scaling_of(taught, by_others, least)
    pretrained = PretrainedModel(
        dict(zip(taught[0].columns, worth, strict=True)),
        intercept=round(weights.intercept, 4),
        nesting_log_potential=round(weights.nesting_log_potential, 4),
        threshold=round(scaling.calibrate(least), 3),
        calibration=scaling,
        training_sentences=sentences,
    )
    PRETRAINED_FILE.write_text(pretrained.to_json() + "\n", encoding="utf-8")


def every_corpus() -> list[Taught]:
    """What each table of the plan tells."""
    return [answered(corpus) for corpus in toml.loads(PLAN.read_text(encoding="utf-8"))["corpus"]]


def answered(corpus: dict[str, Any]) -> Taught:
    """Some of its sentences, answered by votes that are counted."""
    pool = drawn(corpus["files"], 0, _SHOWS)[: corpus["pool"]]
    shown = {d.text for d in pool}
    known = {m.label for d in pool for m in d.mentions}
    first = corpus.get("skip", 0)
    strange = [d for d in drawn(corpus["files"], _ANSWERED, 1) if d.text not in shown]
    asked = [
        replace(d, mentions=tuple(m for m in d.mentions if m.label in known))
        for d in strange[first : first + corpus["sentences"]]
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        write(pool, path)
        settings = load(overrides={"pool": {"path": path}, "classification": {"vote": "soft"}})
        settings, _, _ = adapt_to_documents(
            SelectionInputs(settings, environment(), held_out=asked), map(without_mentions, asked)
        )
        with Assembly(settings, environment(), held_out=asked) as assembly:
            voting = assembly.extractor().pipeline
            proposers = [
                *voting.proposers,
                NaiveBayesProposer(WordStatistics(pool, voting.labels, sentence_splitter(settings.language))),
            ]
            proposers += [CapitalisedProposer()] if proposes_capitalised(settings, pool) else []
            pipeline = Pipeline(voting.members, voting.labels, voting.pool, voting.rules, proposers)
            evidence = assembly.pool.feature_extractor(pipeline, pool)
            results = LocalMapper(assembly.models.worker_count()).map(pipeline.run, [d.text for d in asked])
            told = [ScoredSentence.from_verdicts(evidence, d, r.verdicts) for d, r in zip(asked, results, strict=True)]
            columns = evidence.feature_names
            one = [replace(a, features=[members_as_one(own, columns) for own in a.features]) for a in told]
    print(f"{corpus['name']}: {len(told)} sentences answered", flush=True)
    return Taught(corpus["name"], len(pool), one, tuple(dict.fromkeys(columns)), evidence.labels)


def drawn(files: list[str], low: float, high: float) -> list[Document]:
    """The sentences of a part of each file, in an order drawn at random."""
    found = []
    for file in files:
        documents = [d for d in read(corpora_folder() / file) if d.text.strip()]
        found += documents[int(low * len(documents)) : int(high * len(documents))]
    return random.Random(SEED).sample(found, len(found))


def members_as_one(features: FloatArray, columns: Sequence[str]) -> FloatArray:
    """[labels, columns] -> [labels, columns of one member], their mean."""
    width = len(MEMBER_FEATURES)
    last = 1 + width * columns.count(MEMBER_FEATURES[0])
    each = features[:, 1:last].reshape(len(features), -1, width)
    return np.hstack([features[:, :1], each.mean(axis=1), features[:, last:]])


def learn_prior(lessons: Sequence[TrainingExample], columns: Sequence[str]) -> StackingModel:
    """Learn from sentences of many corpora, from a belief in the soft vote on.

    Args:
        lessons: what each sentence teaches, the members as one.
        columns: names of its features, the vote's score first.
    """
    features = np.ma.masked_invalid(np.concatenate([own for lesson in lessons for own in lesson.features]))
    mean, spread = features.mean(axis=0), features.std(axis=0)
    vote = np.arange(len(columns)) == 0
    scale = np.where(spread > 0, spread, 1.0)
    start = StackingModel(
        tuple(mean.tolist()),
        tuple(scale.tolist()),
        tuple(np.where(vote, scale, 0.0).tolist()),
        intercept=float(mean[0]),
        nesting_log_potential=0.0,
        threshold=0.0,
        training_sentences=0,
    )
    return fit_map(lessons, start, RIDGE).model


def learnt_of(taught: Sequence[Taught]) -> StackingModel:
    """What these corpora teach."""
    return learn_prior([lesson for t in taught for lesson in t.lessons], taught[0].columns)


def scaling_of(taught: Sequence[Taught], by_others: Sequence[StackingModel], least: float) -> PlattScaling:
    """What the probability of a mention is worth that the other corpora taught, from `least` on, in the mean corpus."""
    found = [
        [m for m in selected_mentions(own.answered, scored_by(weights, own), own.labels) if m[0] >= least]
        for own, weights in zip(taught, by_others, strict=True)
    ]
    mean = sum(map(len, found)) / len(found)
    told = [(p, right, mean / len(of_one)) for of_one in found for p, right in of_one]  # each corpus counts the same
    probabilities, right, counts = zip(*told, strict=True)
    scaling = fit_platt(probabilities, right, IDENTITY, prior_std=SPREAD, sample_weight=counts)
    return PlattScaling(round(scaling.slope, 4), round(scaling.intercept, 4))


def scored_by(weights: StackingModel, taught: Taught) -> list[list[FloatArray]]:
    """For each sentence, for each place, the labels' probabilities."""
    return [weights.predict(x.features, x.span_crf) for x in taught.lessons]


def found_by(weights: StackingModel, taught: Taught, threshold: float) -> list[list[Mention]]:
    """The mentions of each sentence by what was learnt."""

    def told(probabilities: FloatArray) -> float:
        return weights.calibration.calibrate(float(probabilities.max()))

    return [
        _kept(a, [(taught.labels.names[int(np.argmax(p))], told(p)) for p in own], threshold, taught.labels)
        for a, own in zip(taught.answered, scored_by(weights, taught), strict=True)
    ]


def _voted(answered: ScoredSentence, labels: LabelSet) -> list[Mention]:
    """Those that a vote finds among what members or the pool proposed: looks and words alone propose nothing to it."""
    proposed = [any(b.is_proposer for b in v.ballots) for v in answered.verdicts.values()]
    said = [(v.label, v.score if p else 0.0) for v, p in zip(answered.verdicts.values(), proposed, strict=True)]
    return _kept(answered, said, DEFAULT_THRESHOLD, labels)


def _kept(
    answered: ScoredSentence, said: Sequence[tuple[str, float]], threshold: float, labels: LabelSet
) -> list[Mention]:
    places = zip(answered.verdicts, answered.surfaces, said, strict=True)
    mentions = [Mention(s.start, s.end, label, t, score) for s, t, (label, score) in places if score >= threshold]
    return list(resolve_overlaps(mentions, nested=labels.nested)[0])


if __name__ == "__main__":
    main()
