"""How well a scorer that is pre-trained on some corpora does on another one.

    python -m benchmarks.quality.pretrained

For each corpus of `tools/release/scorer.toml`, the scorer is fitted to the corpora with other names, and compared with
a soft vote on the same answers. Needs the corpora; model replies are those of `tools.release.scorer`. Counts of each
sentence are written to `results/pretrained`, and `table.py` makes a table of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from tools.release.scorer import SEED, ScoredCorpus, leave_one_out, score_corpora

from benchmarks.common import ROOT, run_once
from benchmarks.quality.compare import count_sentences
from entsemble._lib.math import FloatArray
from entsemble.ner.decision import DEFAULT_THRESHOLD
from entsemble.scoring.examples import ScoredSentence
from entsemble.scoring.model import StackingModel
from entsemble.scoring.threshold import THRESHOLD_FRACTION_OF_MAX_F1
from entsemble.types import LabelSet, Mention
from entsemble.voting.overlaps import resolve_overlaps
from entsemble.voting.rules import Verdict

RESULTS = ROOT / "benchmarks" / "quality" / "results" / "pretrained"


def main() -> None:
    """Measure all corpora."""
    corpora = score_corpora(with_members=True)
    models = leave_one_out(corpora)
    max_f1 = [corpus.expected_max_f1(model) for corpus, model in zip(corpora, models, strict=True)]
    for number, (corpus, model) in enumerate(zip(corpora, models, strict=True)):
        others = [f1 for f1, other in zip(max_f1, corpora, strict=True) if other.name != corpus.name]
        threshold = THRESHOLD_FRACTION_OF_MAX_F1 * float(np.mean(others))
        documents = [sentence.document for sentence in corpus.sentences]
        voted = [voted_mentions(sentence, corpus.labels) for sentence in corpus.sentences]
        rules = {
            "soft vote": count_sentences(documents, voted),
            "pre-trained on the other corpora": count_sentences(
                documents, predicted_mentions(model, corpus, threshold)
            ),
        }
        result: dict[str, object] = {
            "corpus": f"{corpus.name}, pool of {corpus.pool_size}",
            "seed": SEED,
            "rules": rules,
        }
        command = "python -m benchmarks.quality.pretrained"
        run_once(RESULTS / f"{number}.json", command, partial(dict, result), force=True)


def predicted_mentions(model: StackingModel, corpus: ScoredCorpus, threshold: float) -> list[list[Mention]]:
    """The mentions of each sentence by a model, with calibrated scores of at least the threshold."""

    def label_and_score(probabilities: FloatArray) -> tuple[str, float]:
        name = corpus.labels.names[int(np.argmax(probabilities))]
        return name, model.calibration.calibrate(float(probabilities.max()))

    return [
        _select(sentence, [label_and_score(candidate) for candidate in probabilities], threshold, corpus.labels)
        for sentence, probabilities in zip(corpus.sentences, corpus.predict(model), strict=True)
    ]


def voted_mentions(sentence: ScoredSentence, labels: LabelSet) -> list[Mention]:
    """The mentions by a soft vote, only of candidates that a voter proposed."""

    def label_and_score(verdict: Verdict) -> tuple[str, float]:
        is_proposed = any(ballot.is_proposer for ballot in verdict.ballots)
        return verdict.label, verdict.score if is_proposed else 0.0

    scored = [label_and_score(verdict) for verdict in sentence.verdicts.values()]
    return _select(sentence, scored, DEFAULT_THRESHOLD, labels)


def _select(
    sentence: ScoredSentence, scored: Sequence[tuple[str, float]], threshold: float, labels: LabelSet
) -> list[Mention]:
    mentions = [
        Mention(span.start, span.end, label, surface, score)
        for span, surface, (label, score) in zip(sentence.verdicts, sentence.surfaces, scored, strict=True)
        if score >= threshold
    ]
    return resolve_overlaps(mentions, nested=labels.nested)[0]


if __name__ == "__main__":
    main()
