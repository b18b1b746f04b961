"""Each shipped expert on the held-out sentences of every domain: is it the best one in its own?

    python -m benchmarks.sam.in_vs_out_of_domain [--sentences 100] [--only politics,finance]

Scores sentences that the domain's own expert was not trained on (held out by `tools.release.experts`), with the labels
of those sentences. There is one result for each domain, with the counts of each expert on each sentence; a result of
the same command is not measured again.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from tools.release.experts import corpus_splits, load_plan

from benchmarks.common import corpora_folder, run_missing
from benchmarks.sam.run import experts_settings, score_sentences
from benchmarks.sam.unified import adapters, place
from entsemble.assembly import expert_store
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.zero_shot import zero_shot_extractor
from entsemble.prompting.labels import label_set

RESULTS = Path(__file__).parent / "results" / "in_vs_out_of_domain"


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="domains, separated by commas")
    parser.add_argument("--sentences", type=int, default=100)
    options = parser.parse_args()
    plan = load_plan()
    domains = options.only.split(",") if options.only else [name for name in plan if "sources" in plan[name]]
    command = f"python -m benchmarks.sam.in_vs_out_of_domain --only {{}} --sentences {options.sentences}"
    inputs = {"adapters": adapters(plan)}
    run_missing(RESULTS, domains, command, lambda domain: measure(domain, options.sentences), inputs)


def measure(domain: str, count: int) -> dict[str, object]:
    """Counts of all experts, and of the base model, on the held-out sentences of a domain."""
    splits = corpus_splits(domain, corpora_folder())
    gold = [document for split in splits for document in split.held_out[: count // len(splits)]]
    label_names = sorted({mention.label for document in gold for mention in document.mentions})
    labels = label_set(dict.fromkeys(label_names, ""))
    store = expert_store(place())
    experts = [expert for expert in map(store.get, store.names()) if expert.shipped]
    settings = experts_settings(labels)
    [member, *_] = settings.members
    sums: dict[str, dict[str, float]] = {"base": {}}
    sums |= {expert.card.name: {expert.card.name: 1.0} for expert in experts}
    results = {}
    with closing(ModelPool(settings, place(), ProgressCallbacks())) as models:
        for name, model in models.weighted_sums(member, experts, sums).items():
            extractor = zero_shot_extractor(model, labels, member.template, "en", workers=models.batch_size(member))
            results[name] = score_sentences(extractor, gold)
            print(domain, name, f"{results[name]['f1']:.3f} {results[name]['spans_f1']:.3f}", flush=True)
    return {"domain": domain, "experts": results}


if __name__ == "__main__":
    main()
