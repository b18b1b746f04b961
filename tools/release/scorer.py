"""Pre-train the scorer on open corpora, into `scoring/pretrained.json` or, for voices alone, `pretrained-voices.json`.

    python -m tools.release.scorer [--voices]

Needs the corpora: the folder that ENTSEMBLE_DATA names. `scorer.toml` and `scorer-voices.toml` list them with their
licences and the number of sentences from each. The pool comes from the first part of each file, and the answered
sentences from the last, so that no document is in both. Replies are cached, so that an interrupted run resumes.
`benchmarks.quality.pretrained` measures how well a model that is fitted to all corpora but one does on that one.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from entsemble._lib import toml
from entsemble._lib.math import FloatArray
from entsemble.assembly import Assembly, SelectionInputs, adapt_to_documents, without_mentions
from entsemble.data.formats import read, write
from entsemble.execution.threads import LocalMapper
from entsemble.scoring.examples import ScoredSentence, TrainingExample
from entsemble.scoring.features import MEMBER_FEATURES
from entsemble.scoring.fit import fit_map
from entsemble.scoring.model import StackingModel
from entsemble.scoring.platt import IDENTITY, PlattScaling, fit_platt
from entsemble.scoring.pretrained import WITH_MEMBERS, WITHOUT_MEMBERS, FeatureWeight, PretrainedModel
from entsemble.scoring.threshold import THRESHOLD_FRACTION_OF_MAX_F1, expected_max_f1, selected_mentions
from entsemble.settings import environment, load
from entsemble.types import Document, LabelSet
from tools.corpora import corpora_folder

PLAN, VOICES_PLAN = (Path(__file__).with_name(f"{name}.toml") for name in ("scorer", "scorer-voices"))
SEED = 1
PRIOR_PRECISION = 3.0
"""Inverse variance of the parameters; with so many candidates it matters little."""

PRIOR_STD = 10.0, 10.0
"""Standard deviations of Platt's slope and intercept around the identity: a flat prior."""

_POOL_END, _ANSWERED_START = 0.65, 0.7
"""Fractions of a file: the pool comes from before the first, the answered sentences from after the second."""


@dataclass(frozen=True, slots=True)
class ScoredCorpus:
    """The answered sentences of one corpus.

    Attributes:
        name: of the corpus.
        pool_size: sentences of the pool.
        sentences: answered by the embedded members.
        feature_names: of their features.
        labels: of the pool.
    """

    name: str
    pool_size: int
    sentences: list[ScoredSentence]
    feature_names: tuple[str, ...]
    labels: LabelSet

    @property
    def examples(self) -> list[TrainingExample]:
        """The sentences as training examples."""
        return [sentence.to_example(self.labels) for sentence in self.sentences]

    def predict(self, model: StackingModel) -> list[list[FloatArray]]:
        """For each sentence, for each candidate, [labels]: the probabilities by a model."""
        return [model.predict(example.features, example.span_crf) for example in self.examples]

    def expected_max_f1(self, model: StackingModel) -> float:
        """The highest F1 over all thresholds, in expectation under a model."""
        return expected_max_f1(self.sentences, self.predict(model), self.labels)


def main() -> None:
    """Answer sentences of all corpora, fit the model, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--voices", action="store_true", help="the model for voices without language models")
    with_members = not parser.parse_args().voices
    corpora = score_corpora(with_members=with_members)
    models = leave_one_out(corpora)
    max_f1 = [corpus.expected_max_f1(model) for corpus, model in zip(corpora, models, strict=True)]
    min_probability = THRESHOLD_FRACTION_OF_MAX_F1 * float(np.mean(max_f1))
    calibration = fit_calibration(corpora, models, min_probability)
    pretrained = _rounded(fit_to_corpora(corpora), corpora, calibration, calibration.calibrate(min_probability))
    file = WITH_MEMBERS if with_members else WITHOUT_MEMBERS
    file.write_text(pretrained.to_json() + "\n", encoding="utf-8")


def score_corpora(*, with_members: bool) -> list[ScoredCorpus]:
    """The answered sentences of each corpus of the plan."""
    plan, preset = (PLAN, "balanced") if with_members else (VOICES_PLAN, "instant")
    return [score_corpus(corpus, preset) for corpus in toml.loads(plan.read_text(encoding="utf-8"))["corpus"]]


def score_corpus(corpus: dict[str, Any], preset: str) -> ScoredCorpus:
    """Sentences of one corpus, answered by the ensemble of a preset.

    Args:
        corpus: a table of the plan.
        preset: whose members and voices answer.
    """
    pool = sample_sentences(corpus["files"], 0, _POOL_END)[: corpus["pool"]]
    pool_texts = {document.text for document in pool}
    pool_labels = {mention.label for document in pool for mention in document.mentions}
    first = corpus.get("skip", 0)
    others = [
        document
        for document in sample_sentences(corpus["files"], _ANSWERED_START, 1)
        if document.text not in pool_texts
    ]
    documents = [
        replace(document, mentions=tuple(mention for mention in document.mentions if mention.label in pool_labels))
        for document in others[first : first + corpus["sentences"]]
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        write(pool, path)
        settings = load(preset=preset, overrides={"pool": {"path": path}, "stacking": {"sentences": 0}})
        settings, _, _ = adapt_to_documents(
            SelectionInputs(settings, environment(), held_out=documents), map(without_mentions, documents)
        )
        with Assembly(settings, environment(), held_out=documents) as assembly:
            pipeline = assembly.extractor().pipeline  # its scorer does not matter: training needs the votes alone
            extractor = assembly.pool.feature_extractor(pipeline, assembly.pool.leakage_guard(pool))
            mapper = LocalMapper(assembly.models.worker_count())
            results = mapper.map(pipeline.run, [document.text for document in documents])
            sentences = [
                ScoredSentence.from_verdicts(extractor, document, result.verdicts)
                for document, result in zip(documents, results, strict=True)
            ]
    feature_names = extractor.feature_names
    averaged = [
        replace(sentence, features=[average_members(matrix, feature_names) for matrix in sentence.features])
        for sentence in sentences
    ]
    print(f"{corpus['name']}: {len(averaged)} sentences answered", flush=True)
    return ScoredCorpus(corpus["name"], len(pool), averaged, tuple(dict.fromkeys(feature_names)), extractor.labels)


def sample_sentences(files: Sequence[str], start: float, end: float) -> list[Document]:
    """The sentences of a part of each file, in random order.

    Args:
        files: within the folder of the corpora.
        start: of the part, as a fraction of the file.
        end: likewise.
    """
    sentences = []
    for file in files:
        documents = [document for document in read(corpora_folder() / file) if document.text.strip()]
        sentences += documents[int(start * len(documents)) : int(end * len(documents))]
    return random.Random(SEED).sample(sentences, len(sentences))


def average_members(features: FloatArray, feature_names: Sequence[str]) -> FloatArray:
    """[labels, features] -> [labels, features of one member], with the mean of the members' features."""
    if MEMBER_FEATURES[0] not in feature_names:
        return features
    width = len(MEMBER_FEATURES)
    end = 1 + width * feature_names.count(MEMBER_FEATURES[0])
    by_member = features[:, 1:end].reshape(len(features), -1, width)
    return np.hstack([features[:, :1], by_member.mean(axis=1), features[:, end:]])


def fit_examples(examples: Sequence[TrainingExample], feature_names: Sequence[str]) -> StackingModel:
    """Fit a model from scratch: its prior is that the soft vote's score is the probability.

    Args:
        examples: with features of one member, see `average_members`.
        feature_names: of the examples, the vote first.
    """
    features = np.ma.masked_invalid(
        np.concatenate([candidate for example in examples for candidate in example.features])
    )
    means, deviations = features.mean(axis=0), features.std(axis=0)
    scales = np.where(deviations > 0, deviations, 1.0)
    is_vote = np.arange(len(feature_names)) == 0
    prior = StackingModel(
        tuple(means.tolist()),
        tuple(scales.tolist()),
        tuple(np.where(is_vote, scales, 0.0).tolist()),
        intercept=float(means[0]),
        nesting_log_potential=0.0,
        threshold=0.0,
        training_sentences=0,
    )
    return fit_map(examples, prior, PRIOR_PRECISION).model


def fit_to_corpora(corpora: Sequence[ScoredCorpus]) -> StackingModel:
    """Fit a model to all sentences of some corpora."""
    return fit_examples([example for corpus in corpora for example in corpus.examples], corpora[0].feature_names)


def leave_one_out(corpora: Sequence[ScoredCorpus]) -> list[StackingModel]:
    """For each corpus, the model that is fitted to the corpora with other names."""
    return [fit_to_corpora([other for other in corpora if other.name != corpus.name]) for corpus in corpora]


def fit_calibration(
    corpora: Sequence[ScoredCorpus], models: Sequence[StackingModel], min_probability: float
) -> PlattScaling:
    """Platt scaling of out-of-domain predictions; each corpus has the same total weight.

    Args:
        corpora: to calibrate on.
        models: for each corpus, one that was not fitted to it.
        min_probability: of the mentions that count.
    """
    by_corpus = [
        [
            mention
            for mention in selected_mentions(corpus.sentences, corpus.predict(model), corpus.labels)
            if mention[0] >= min_probability
        ]
        for corpus, model in zip(corpora, models, strict=True)
    ]
    mean_count = sum(map(len, by_corpus)) / len(by_corpus)
    weighted = [
        (probability, is_correct, mean_count / len(mentions))
        for mentions in by_corpus
        for probability, is_correct in mentions
    ]
    probabilities, is_correct, weights = zip(*weighted, strict=True)
    scaling = fit_platt(probabilities, is_correct, IDENTITY, prior_std=PRIOR_STD, sample_weight=weights)
    return PlattScaling(round(scaling.slope, 4), round(scaling.intercept, 4))


def _rounded(
    model: StackingModel, corpora: Sequence[ScoredCorpus], calibration: PlattScaling, threshold: float
) -> PretrainedModel:
    parameters = zip(model.feature_means, model.feature_scales, model.coefficients, strict=True)
    weights = [FeatureWeight(*(round(value, 4) for value in values)) for values in parameters]
    training_sentences = dict.fromkeys((corpus.name for corpus in corpora), 0)
    for corpus in corpora:
        training_sentences[corpus.name] += len(corpus.sentences)
    return PretrainedModel(
        dict(zip(corpora[0].feature_names, weights, strict=True)),
        intercept=round(model.intercept, 4),
        nesting_log_potential=round(model.nesting_log_potential, 4),
        threshold=round(threshold, 3),
        calibration=calibration,
        training_sentences=training_sentences,
    )


if __name__ == "__main__":
    main()
