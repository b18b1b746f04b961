"""SaM on domains that no expert was trained on, against its base, its parts and one unified model.

    python -m benchmarks.sam.run [--only crossner-music,mit-movie] [--systems sam,unified] [--sentences 200] [--again]

Needs the corpora, and what `benchmarks.sam.unified` trains. No expert that takes part, and no sentence of the unified
model, is of CrossNER, whose parts are five of the targets. Experts are chosen by the first 64 of the very sentences
that are scored, without their mentions, as `extract` would; their labels are corrected by a sample of those
(see `batch_calibration_bias`), and so are those of the systems called "corrected". The experts are run by
transformers in bfloat16, which reads many sentences at once. One result a target and system,
with the counts of each sentence; what the same command has measured already is not run again.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from benchmarks.common import corpora_folder, is_measured, run_once, with_fastest_engine
from benchmarks.sam.unified import COMMON, UNIFIED, adapters, place, taking_part
from entsemble.assembly import SelectionInputs, expert_store, select_experts
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.zero_shot import calibration_biases, count_matches, zero_shot_ensemble
from entsemble.data.annotated import read_annotated, without_mentions
from entsemble.extractor import LocalExtractor
from entsemble.prompting.labels import label_set
from entsemble.settings import Settings, load
from entsemble.types import Document, LabelSet
from entsemble.voting.rules import VOTING_RULES

RESULTS = Path(__file__).parent / "results"

LOOKED_AT = 50
"""Sentences of each target that were looked at while SaM was made, and are not scored."""


@dataclass(frozen=True, slots=True)
class Target:
    """A domain to adapt to: what is scored, and what is there to choose by, or to show."""

    gold: str
    train: str


TARGETS = {
    "crossner-literature": Target("crossner/literature/dev.txt", "crossner/literature/train.txt"),
    "crossner-music": Target("crossner/music/dev.txt", "crossner/music/train.txt"),
    "crossner-politics": Target("crossner/politics/test.txt", "crossner/politics/train.txt"),
    "crossner-science": Target("crossner/science/test.txt", "crossner/science/train.txt"),
    "crossner-ai": Target("crossner/ai/test.txt", "crossner/ai/train.txt"),
    "mit-movie": Target("mit-movie/engtest.bio", "mit-movie/engtrain.bio"),
    "mit-restaurant": Target("mit-restaurant/restauranttrain.bio", "mit-restaurant/restauranttrain.bio"),
}


EVERY, BASE = "merge of all", "base"

CHOSEN: tuple[Literal["domain", "sampled"], ...] = ("domain", "sampled")
"""The two sums of experts that the texts choose."""


@dataclass(frozen=True, slots=True)
class System:
    """What is compared.

    Attributes:
        sums: of experts, each a model, put together.
        vote: how.
        corrected: whether what each says too often is taken back.
    """

    name: str
    sums: tuple[str, ...]
    vote: str = "union"
    corrected: bool = True


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="targets, separated by commas")
    parser.add_argument("--systems", help="systems, separated by commas")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--again", action="store_true", help="run again what is there already")
    options = parser.parse_args()
    target_names = options.only.split(",") if options.only else TARGETS
    systems = options.systems.split(",") if options.systems else None
    for target in TARGETS:
        if target in target_names:
            measure(target, options.sentences, systems, again=options.again)


def measure(target: str, count: int, only: Sequence[str] | None, *, again: bool, seed: int = 0) -> None:
    """Run every system on a target, and write one result for each."""
    store = expert_store(place())
    names = [*taking_part(), *(name for name in (COMMON, UNIFIED) if name in store.names())]  # the others need not wait
    command = f"python -m benchmarks.sam.run --only {target} --sentences {count}"
    files = {s: RESULTS / target / f"{s.name}.json" for s in systems(names) if not only or s.name in only}
    checksums = adapters(names)
    of = {s: {"adapters": {name: checksums[name] for name in _contributing_experts(s, names)}} for s in files}
    missing_systems = [s for s, file in files.items() if again or not is_measured(file, command, of[s])]
    if not missing_systems:
        return
    labels, gold = target_sentences(TARGETS[target].gold, count, seed)
    settings = experts_settings(labels)
    sums, bias = _select_sums(settings, gold) if any(set(s.sums) & set(CHOSEN) for s in missing_systems) else ({}, {})
    sums |= {s.sums[0]: _weights(s.sums[0]) for s in missing_systems if s.sums[0] not in sums}
    [member, *_] = settings.members
    experts = [store.get(name) for name in names]
    with closing(ModelPool(settings, place(), ProgressCallbacks())) as models:
        views = models.weighted_sums(member, experts, sums)
        rest = {s.sums[0]: sums[s.sums[0]] for s in missing_systems if s.corrected and s.sums[0] not in bias}
        bias |= calibration_biases(models, member, experts, labels, bias_sample(settings, gold), rest)
        for system in missing_systems:
            together = {name: (views[name], bias[name] if system.corrected else {}) for name in system.sums}
            extractor = zero_shot_ensemble(
                together,
                labels,
                member.template,
                "en",
                vote=VOTING_RULES[system.vote],
                threshold=None if system.vote == "soft" else settings.classification.threshold,
                workers=models.batch_size(member),
            )
            weights = {name: sums[name] for name in system.sums}
            description = {"target": target, "system": system.name, "seed": seed, "experts": weights}
            run_once(
                files[system], command, partial(_score_system, extractor, gold, description), of[system], force=True
            )


def experts_settings(labels: LabelSet) -> Settings:
    """The preset `experts`, as it is measured: of the experts that may take part, in batches."""
    overrides = {"labels": {x.name: "" for x in labels}, "experts": {"names": taking_part()}}
    return with_fastest_engine(load(preset="experts", overrides=overrides))


def systems(names: Iterable[str]) -> list[System]:
    """All that is compared, of these experts; sums that others need come first, for the reply cache."""
    rest = [EVERY, BASE, *names]
    return [
        *(System(view, (view,)) for view in CHOSEN),
        System("sam", CHOSEN),
        System("sam by vote", CHOSEN, vote="soft"),
        *(System(alone(name), (name,), corrected=False) for name in rest),
        *(System(f"{name} corrected", (name,)) for name in rest if name in {EVERY, COMMON, UNIFIED}),
    ]


def alone(name: str) -> str:
    """What a model that answers by itself is called in the results."""
    return name if name in {EVERY, BASE, COMMON, UNIFIED} else f"expert {name}"


def _contributing_experts(system: System, experts: Sequence[str]) -> list[str]:
    """The experts that have a say in what a system answers: all that take part, where some are chosen or all merged."""
    if set(system.sums) & {*CHOSEN, EVERY}:
        return list(taking_part())
    return [name for name in system.sums if name in experts]


def _weights(name: str) -> dict[str, float]:
    """The experts in a sum that nothing was chosen for."""
    every = taking_part()
    fixed_weights: dict[str, dict[str, float]] = {BASE: {}, EVERY: dict.fromkeys(every, 1 / len(every))}
    return fixed_weights.get(name, {name: 1.0})


def _select_sums(
    settings: Settings, gold: Sequence[Document]
) -> tuple[dict[str, dict[str, float]], dict[str, Mapping[str, float]]]:
    """SaM's two sums of experts, and what corrects the labels of each."""
    selection = select_experts(SelectionInputs(settings, place()), [without_mentions(d) for d in gold])
    return {"domain": dict(selection.domain.weights), "sampled": dict(selection.sampled.weights)}, dict(
        selection.biases
    )


def _score_system(
    extractor: LocalExtractor, gold: Sequence[Document], description: Mapping[str, Any]
) -> dict[str, Any]:
    result = score_sentences(extractor, gold)
    print(description["target"], description["system"], f"{result['f1']:.3f} {result['spans_f1']:.3f}", flush=True)
    return {**description, **result}


def target_sentences(file: str, count: int, seed: int) -> tuple[LabelSet, list[Document]]:
    """The labels of a file, and some of its sentences that nobody looked at; of more, these are the first."""
    every = [d for d in read_annotated(corpora_folder() / file, None, "en", "it is scored") if d.text.strip()]
    labels = label_set(dict.fromkeys(sorted({m.label for d in every for m in d.mentions}), ""))
    return labels, random.Random(seed).sample(every, len(every))[LOOKED_AT : LOOKED_AT + count]


def bias_sample(settings: Settings, gold: Sequence[Document]) -> list[Document]:
    """The sentences on which is seen what a model says too often, as `select_experts` draws them."""
    first = gold[: settings.experts.target_sentences]
    return random.Random(settings.seed).sample(first, min(settings.experts.sample_sentences, len(first)))


def score_sentences(extractor: LocalExtractor, gold: Sequence[Document]) -> dict[str, Any]:
    """Scores with the counts of each sentence; one that could not be done counts as nothing found."""
    typed, spans = count_matches(extractor, gold)
    return {
        "sentences": len(gold),
        "f1": sum(typed[1:], typed[0]).f1,
        "spans_f1": sum(spans[1:], spans[0]).f1,
        "counts": [list(asdict(c).values()) for c in typed],
        "spans": [list(asdict(c).values()) for c in spans],
    }


if __name__ == "__main__":
    main()
