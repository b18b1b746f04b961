"""SaM's members beside EL4NER's, with a pool of 50 sentences of the target: what they add to each other.

    python -m benchmarks.sam.with_pool [--only crossner-music,mit-movie] [--sentences 20]

Needs the corpora. Experts that know nothing of CrossNER. They are chosen by texts and pool as `evaluate` does it, and
are members like any other: they propose and vote, but are shown no demonstrations, as they are trained. All members are
run by transformers in bfloat16, which reads many sentences at once. Of EL4NER and of both there is a second system,
whose votes are learnt from 20 sentences of the same pool. One result a target and system, with the counts on each
sentence; what the same command has measured already is not run again.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import corpora_folder, run_missing, with_fastest_engine
from benchmarks.sam.run import CHOSEN, TARGETS, score_sentences, target_sentences
from benchmarks.sam.unified import adapters, taking_part
from entsemble.assembly import Assembly, SelectionInputs, adapt_to_documents, without_mentions
from entsemble.data.annotated import read_annotated
from entsemble.data.formats import write
from entsemble.settings import (
    ClassificationSettings,
    ExpertsSettings,
    MemberSettings,
    PoolSettings,
    Settings,
    StackingSettings,
    environment,
)
from entsemble.types import Document

RESULTS = Path(__file__).parent / "results" / "with_pool"
POOL = 50

EL4NER = (MemberSettings(model="smollm2-135m"), MemberSettings(model="gemma-3-270m"))
SAM = tuple(MemberSettings(name=view, model="smollm2-135m", experts=view, shots=0) for view in CHOSEN)
LEARNT = 20

SYSTEMS: Mapping[str, tuple[Sequence[MemberSettings], int]] = {
    "EL4NER": (EL4NER, 0),
    "SaM's members": (SAM, 0),
    "both": ((*EL4NER, *SAM), 0),
    "EL4NER, votes learnt": (EL4NER, LEARNT),
    "both, votes learnt": ((*EL4NER, *SAM), LEARNT),
}
"""Name -> its members, and from how many sentences of the pool its votes are learnt."""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="targets, separated by commas")
    parser.add_argument("--sentences", type=int, default=20)
    parser.add_argument("--systems", help="separated by semicolons")
    options = parser.parse_args()
    target_names = options.only.split(",") if options.only else TARGETS
    systems = options.systems.split(";") if options.systems else SYSTEMS
    of = {"adapters": adapters(taking_part())}
    for target in target_names:
        command = f'python -m benchmarks.sam.with_pool --only {target} --sentences {options.sentences} --systems "{{}}"'
        run_missing(RESULTS / target, systems, command, partial(measure, target, options.sentences), of)


def measure(target: str, count: int, system: str, seed: int = 0) -> dict[str, object]:
    """A system on the first of the sentences that `benchmarks.sam.run` scores."""
    labels, gold = target_sentences(TARGETS[target].gold, count, seed)
    names = {x.name for x in labels}
    gold_texts = {d.text for d in gold}
    target_documents = [
        d
        for d in read_annotated(corpora_folder() / TARGETS[target].train, None, "en", "it is the pool")
        if d.text.strip()
    ]
    pool_candidates = [
        d for d in target_documents if d.text not in gold_texts and {m.label for m in d.mentions} <= names
    ]
    members, stacking_sentences = SYSTEMS[system]
    with TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        write(random.Random(seed).sample(pool_candidates, POOL), pool)
        settings = Settings(
            labels=dict.fromkeys(sorted(names), ""),
            members=tuple(members),
            pool=PoolSettings(path=pool),
            classification=ClassificationSettings(vote=None if stacking_sentences else "soft"),
            stacking=StackingSettings(sentences=stacking_sentences),
            experts=ExpertsSettings(names=taking_part()),
        )
        result = run_ensemble(settings, gold)
    print(target, system, f"{result['f1']:.3f} {result['spans_f1']:.3f}", flush=True)
    return {"target": target, "system": system, "seed": seed, "pool": POOL, **result}


def run_ensemble(settings: Settings, gold: Sequence[Document]) -> dict[str, object]:
    """Scores of an ensemble whose experts are chosen by the sentences that are scored, and by the pool."""
    resolved, _, chosen = adapt_to_documents(
        SelectionInputs(with_fastest_engine(settings), environment(), held_out=gold), map(without_mentions, gold)
    )
    experts = {"domain": dict(chosen.domain.weights), "sampled": dict(chosen.sampled.weights)} if chosen else {}
    with Assembly(resolved, environment(), held_out=gold) as assembly:
        return {"experts": experts, **score_sentences(assembly.extractor(), gold)}


if __name__ == "__main__":
    main()
