"""Paired comparisons of settings, which the defaults were chosen by.

    python -m benchmarks.quality.compare retrieval [--only conll2003]

On training data only: the pool and the scored sentences are disjoint samples of the training file of a corpus, so no
sentence that `run.py` scores takes part. The fastest engine of the machine (`common.ENGINE`) runs the members. The
counts of each variant are written to `results/<experiment>/<corpus>/<variant>.json`; stored results are not measured
again, unless they are of another engine. `table.py` makes tables of them: F1 with its interval, and the difference to
the first variant by paired bootstrap and approximate randomisation. `experiments.py` lists the experiments.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tools.release.experts import corpus_splits, load_plan

from benchmarks.common import ENGINE, corpora_folder, run_once, with_fastest_engine
from benchmarks.quality.corpora import corpus_named
from benchmarks.quality.experiments import EXPERIMENTS
from entsemble.assembly import Assembly, SelectionInputs, adapt_to_documents, without_mentions
from entsemble.data.formats import read, write
from entsemble.evaluation.matching import exact_counts
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import Document, Mention, total_usage

RESULTS = Path(__file__).parent / "results"
SEED = 1


def main() -> None:
    """Measure what is missing of one experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--only", help="names of corpora, separated by commas")
    options = parser.parse_args()
    experiment = EXPERIMENTS[options.experiment]
    training_texts = expert_training_texts() if experiment.with_experts else frozenset()
    for corpus in options.only.split(",") if options.only else experiment.corpora:
        documents = [
            document
            for document in read(corpora_folder() / corpus_named(corpus).train)
            if document.text not in training_texts
        ]
        sizes = experiment.sizes.get(corpus, (experiment.pool_size, experiment.sentences))
        pool, scored = sample_pool_and_scored(documents, *sizes)
        for variant, settings in experiment.variants.items():
            file = RESULTS / options.experiment / corpus / f"{variant.replace(', ', '-').replace(' ', '-')}.json"
            command = f"python -m benchmarks.quality.compare {options.experiment} --only {corpus}"
            inputs = {"corpus": corpus, "variant": variant, "engine": ENGINE}
            measurement = partial(measure, pool, scored, settings, with_cost=experiment.with_cost)
            run_once(file, command, measurement, inputs)


def sample_pool_and_scored(
    documents: Sequence[Document], pool_size: int, scored_count: int
) -> tuple[list[Document], list[Document]]:
    """Disjoint random samples of the sentences: a pool, and the scored ones."""
    sentences = [document for document in documents if document.text.strip()]
    sample = random.Random(SEED).sample(sentences, pool_size + scored_count)
    return sample[:pool_size], sample[pool_size:]


def expert_training_texts() -> frozenset[str]:
    """The sentences that the shipped experts were trained on."""
    splits = (split for name in load_plan() for split in corpus_splits(name, corpora_folder()))
    return frozenset(document.text for split in splits for document in split.training)


def measure(
    pool: Sequence[Document], scored: Sequence[Document], overrides: Mapping[str, Any], *, with_cost: bool
) -> dict[str, Any]:
    """Exact counts of every sentence, for the ensemble and for each member alone, and the cost.

    Args:
        pool: annotated sentences.
        scored: the others.
        overrides: settings of a variant.
        with_cost: whether no cached replies are used, so that evaluated tokens can be counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        write(pool, path)
        variant = {
            **overrides,
            "pool": {"gazetteer": 0, **overrides.get("pool", {}), "path": path},
            "classification": {
                "vote": None if "stacking" in overrides else "soft",
                **overrides.get("classification", {}),
            },
            "cache": {"replies": not with_cost},
        }
        settings, _, _ = adapt_to_documents(
            SelectionInputs(
                with_fastest_engine(load(preset="balanced", overrides=variant)), environment(), held_out=scored
            ),
            map(without_mentions, scored),
        )
        with Assembly(settings, environment(), held_out=scored) as assembly:
            results = list(assembly.extractor().extract(map(without_mentions, scored)))
    extracted = [result for result in results if isinstance(result, Extracted)]
    if len(extracted) < len(scored):
        sys.exit(f"{len(scored) - len(extracted)} sentences failed")
    usage = total_usage(usage for result in extracted for _, _, usage in result.costs)
    member_names = dict.fromkeys(name for result in extracted for name in result.member_mentions)
    return {
        "pool": len(pool),
        "settings": overrides,
        "seed": SEED,
        "prompt_tokens_submitted": usage.prompt_tokens,
        "prompt_tokens_evaluated": usage.evaluated_tokens if with_cost else None,
        "model_calls": usage.calls,
        "counts": count_sentences(scored, [result.document.mentions for result in extracted]),
        "members": {
            name: count_sentences(scored, [result.member_mentions.get(name, ()) for result in extracted])
            for name in member_names
        },
    }


def count_sentences(gold: Sequence[Document], predicted: Sequence[Sequence[Mention]]) -> list[list[int]]:
    """Exact true positives, false positives and false negatives of each sentence."""
    counts = [
        exact_counts(document.mentions, mentions).micro for document, mentions in zip(gold, predicted, strict=True)
    ]
    return [[sentence.tp, sentence.fp, sentence.fn] for sentence in counts]


if __name__ == "__main__":
    main()
