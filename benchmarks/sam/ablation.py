"""What SaM's choices are worth: how many experts, how they are weighed and merged, what is taken back.

    python -m benchmarks.sam.ablation [--sentences 40] [--only crossner-music]

On development data of the targets, none of which `benchmarks.sam.run` scores; experts that know nothing of CrossNER.
One thing is changed at a time. One result a target, with the counts of each variant on each sentence; what the
same command has measured already is not run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import run_missing
from benchmarks.sam.run import TARGETS, bias_sample, experts_settings, score_sentences, target_sentences
from benchmarks.sam.unified import adapters, taking_part
from entsemble.assembly import SelectionInputs, expert_store, select_experts
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.zero_shot import calibration_biases, zero_shot_ensemble
from entsemble.data.annotated import without_mentions
from entsemble.experts.merging.merge import MergeSettings
from entsemble.experts.recipes import add_merged_expert
from entsemble.experts.selection import ExpertWeights, select_best
from entsemble.experts.store import Expert, ExpertStore
from entsemble.settings import Settings, environment
from entsemble.types import Document, LabelSet

RESULTS = Path(__file__).parent / "results" / "ablation"

CHOSEN_ON = ("crossner-literature", "crossner-music", "crossner-ai", "mit-movie")


@dataclass(frozen=True, slots=True)
class Variant:
    """SaM with one thing changed.

    Attributes:
        most: experts in each of the two sums.
        even: whether they weigh alike.
        method: how they are merged.
        corrected: whether what they say too often is taken back.
    """

    name: str
    most: int = Settings().experts.max_experts
    even: bool = False
    method: str = "weighted-sum"
    corrected: bool = True


VARIANTS = (
    Variant("as it is"),
    Variant("1 expert", most=1),
    Variant("2 experts", most=2),
    Variant("all experts", most=6),
    Variant("all weigh alike", even=True),
    Variant("TIES", method="ties"),
    Variant("DARE", method="dare"),
    Variant("DARE-TIES", method="dare-ties"),
    Variant("not corrected", corrected=False),
)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="targets, separated by commas")
    parser.add_argument("--sentences", type=int, default=40)
    options = parser.parse_args()
    target_names = options.only.split(",") if options.only else CHOSEN_ON
    command = f"python -m benchmarks.sam.ablation --only {{}} --sentences {options.sentences}"
    of = {"adapters": adapters(taking_part())}
    run_missing(RESULTS, target_names, command, lambda target: measure(target, options.sentences), of)


def measure(target: str, count: int, seed: int = 0) -> dict[str, object]:
    """Every variant on a target."""
    labels, gold = target_sentences(TARGETS[target].train, count, seed)
    settings = experts_settings(labels)
    chosen = select_experts(SelectionInputs(settings, environment()), [without_mentions(d) for d in gold])
    variant_results = {}
    with TemporaryDirectory() as folder:
        place = environment().model_copy(update={"experts": Path(folder)})
        store = expert_store(place)
        sums: dict[str, dict[str, Mapping[str, float]]] = {}
        for variant in VARIANTS:
            views = {"domain": chosen.domain, "sampled": chosen.sampled}
            sums[variant.name] = {view: _merged(store, variant, view, choice) for view, choice in views.items()}
        parts = {name for views in sums.values() for weights in views.values() for name in weights}
        with closing(ModelPool(settings, place, ProgressCallbacks())) as models:
            for variant in VARIANTS:
                result = _scored(
                    models, [store.get(name) for name in sorted(parts)], sums[variant.name], labels, gold, variant
                )
                variant_results[variant.name] = result
                print(target, variant.name, f"{result['f1']:.3f} {result['spans_f1']:.3f}", flush=True)
    return {
        "target": target,
        "seed": seed,
        "variants": variant_results,
    }


def _merged(store: ExpertStore, variant: Variant, view: str, choice: ExpertWeights) -> Mapping[str, float]:
    """The variant's sum of experts; of one, where they were merged into one."""
    weights = select_best(choice.scores, variant.most).weights
    if variant.even:
        weights = dict.fromkeys(weights, 1 / len(weights))
    if variant.method == "weighted-sum":
        return weights
    name = f"{view}-{variant.method}"
    add_merged_expert(
        store, name, [store.get(n) for n in weights], list(weights.values()), MergeSettings(variant.method)
    )
    return {name: 1.0}


def _scored(
    models: ModelPool,
    experts: Sequence[Expert],
    sums: Mapping[str, Mapping[str, float]],
    labels: LabelSet,
    gold: Sequence[Document],
    variant: Variant,
) -> dict[str, object]:
    settings = models.settings
    [member, *_] = settings.members
    sample = bias_sample(settings, gold)
    bias = (
        calibration_biases(models, member, experts, labels, sample, sums)
        if variant.corrected
        else {view: {} for view in sums}
    )
    views = models.weighted_sums(member, experts, sums)
    together = {view: (model, bias[view]) for view, model in views.items()}
    threshold = settings.classification.threshold
    at_once = models.batch_size(member)
    return score_sentences(
        zero_shot_ensemble(together, labels, member.template, "en", threshold=threshold, workers=at_once), gold
    )


if __name__ == "__main__":
    main()
