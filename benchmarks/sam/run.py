"""SaM on domains that no expert was trained on, against its base, its parts and one unified model.

    python -m benchmarks.sam.run [--only crossner-music,mit-movie] [--sentences 200] [--again]

Needs the corpora, and what `benchmarks.sam.unified` trains. No expert that takes part, and no sentence of the unified
model, is of CrossNER, whose parts are five of the targets. Experts are chosen by the first 64 of the very sentences
that are scored, without their mentions, as `extract` would. One result a target and system, with the counts of each
sentence; what the same command has measured already is not run again.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import corpora, run_once
from benchmarks.sam.unified import COMMON, UNIFIED, place, taking_part
from entsemble.assemble import Selection, expert_store, select_experts
from entsemble.assemble.ensemble import annotated, unannotated
from entsemble.assemble.models import Models, Watch
from entsemble.assemble.without_examples import counts_of, expert_alone, experts_together
from entsemble.ensemble.voting import VOTES
from entsemble.experts.store import Expert
from entsemble.extractor import LocalExtractor
from entsemble.prompting.labels import label_set
from entsemble.settings import Settings, load
from entsemble.types import Document, LabelSet

RESULTS = Path(__file__).parent / "results"


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


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="targets, separated by commas")
    parser.add_argument("--systems", help="systems, separated by commas")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--again", action="store_true", help="run again what is there already")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else TARGETS
    systems = given.systems.split(",") if given.systems else None
    for target in TARGETS:
        if target in wanted:
            measure(target, given.sentences, systems, again=given.again)


def measure(target: str, count: int, only: Sequence[str] | None, *, again: bool, seed: int = 0) -> None:
    """Run every system on a target, and write one result for each."""
    labels, gold = sampled(TARGETS[target].gold, count, seed)
    store = expert_store(place())
    shipped = [store.get(name) for name in taking_part()]
    names = taking_part()
    asked = {"labels": {x.name: "" for x in labels}, "experts": {"names": names}}
    settings = load(preset="experts", overrides=asked)
    chosen = select_experts(settings, place(), [unannotated(d) for d in gold])
    command = f"python -m benchmarks.sam.run --only {target} --sentences {count}"
    for system, weights, extractor in _systems(settings, shipped, chosen, labels):
        told = {"target": target, "system": system, "seed": seed, "experts": weights}
        if not only or system in only:
            file = RESULTS / target / f"{system}.json"
            run_once(file, command, partial(_answered, extractor, gold, told), again=again)


def _answered(extractor: LocalExtractor, gold: Sequence[Document], told: Mapping[str, Any]) -> dict[str, Any]:
    result = scored(extractor, gold)
    print(told["target"], told["system"], f"{result['f1']:.3f} {result['spans_f1']:.3f}", flush=True)
    return {**told, **result}


def _systems(
    settings: Settings, shipped: Sequence[Expert], chosen: Selection, labels: LabelSet
) -> Iterator[tuple[str, dict[str, dict[str, float]], LocalExtractor]]:
    """Name, the sums of experts in it, and what extracts. Sums that others need come first, for the reply cache."""
    even = 1 / len(shipped)
    store = expert_store(place())
    unified = [store.get(name) for name in (COMMON, UNIFIED) if name in store.names()]  # the others need not wait
    sums: dict[str, dict[str, float]] = {
        "domain": dict(chosen.domain.weights),
        "sampled": dict(chosen.sampled.weights),
        "merge of all": {e.card.name: even for e in shipped},
        "base": {},
        **{e.card.name: {e.card.name: 1.0} for e in unified},
        **{f"expert {e.card.name}": {e.card.name: 1.0} for e in shipped},
    }
    [member, *_] = settings.members
    with closing(Models(settings, place(), Watch())) as models:
        views = models.sums(member, [*shipped, *unified], sums)
        for name in ("domain", "sampled"):
            bias = chosen.bias[name]
            alone = expert_alone(views[name], labels, member.template, "en", bias=bias, workers=models.at_once(member))
            yield name, {name: sums[name]}, alone
        for name, vote in (("sam", "union"), ("sam by vote", "soft")):
            both = {n: sums[n] for n in ("domain", "sampled")}
            threshold = settings.classification.threshold if vote == "union" else None
            together = experts_together(
                {n: (views[n], chosen.bias[n]) for n in both},
                labels,
                member.template,
                "en",
                vote=VOTES[vote],
                threshold=threshold,
                workers=models.at_once(member),
            )
            yield name, both, together
        for name in list(sums)[2:]:
            alone = expert_alone(views[name], labels, member.template, "en", workers=models.at_once(member))
            yield name, {name: sums[name]}, alone


def sampled(file: str, count: int, seed: int) -> tuple[LabelSet, list[Document]]:
    """The labels of a file, and some of its sentences; of more, these are the first."""
    every = [d for d in annotated(corpora() / file, "en", "it is scored") if d.text.strip()]
    labels = label_set(dict.fromkeys(sorted({m.label for d in every for m in d.mentions}), ""))
    return labels, random.Random(seed).sample(every, len(every))[:count]


def scored(extractor: LocalExtractor, gold: Sequence[Document]) -> dict[str, Any]:
    """Scores with the counts of each sentence; one that could not be done counts as nothing found."""
    typed, spans = counts_of(extractor, gold)
    return {
        "sentences": len(gold),
        "f1": sum(typed[1:], typed[0]).f1,
        "spans_f1": sum(spans[1:], spans[0]).f1,
        "counts": [list(asdict(c).values()) for c in typed],
        "spans": [list(asdict(c).values()) for c in spans],
    }


if __name__ == "__main__":
    main()
