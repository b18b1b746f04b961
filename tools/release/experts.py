"""Train the experts that ship with entsemble, into `src/entsemble/experts/pack`.

    python -m tools.release.experts [--only politics,social] [--again]

Needs the corpora: the folder that ENTSEMBLE_DATA names. Says which data, how many sentences and which seed in each
expert's card. An expert that is there already is not trained again; a training that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from entsemble._lib import toml
from entsemble.assembly import ExpertSpec, TrainingData, train_expert
from entsemble.data.annotated import read_annotated
from entsemble.data.formats import write
from entsemble.experts.training import TrainingProgress, TrainingSettings
from entsemble.prompting.labels import readable_name
from entsemble.settings import Environment, environment
from entsemble.types import Document, Precision
from tools.corpora import ROOT, corpora_folder

PACK = ROOT / "src" / "entsemble" / "experts" / "pack"
PLAN = Path(__file__).with_name("experts.toml")

HOW = TrainingSettings(rank=4, alpha=8, batch=4, learning_rate=3e-3)
GOING_ON = replace(HOW, learning_rate=1e-3)
"""Of those that start from another: slower, so that what it knows is not lost."""

HELD_BACK = 100
"""Sentences of each expert's data that it never learns."""

EMPTY = 0.15
"""Share of the learnt sentences that may be without a mention: they teach restraint, and little else."""


@dataclass(frozen=True, slots=True)
class Part:
    """What an expert learns from one corpus."""

    corpus: str
    licence: str
    attribution: str
    learnt: tuple[Document, ...]
    held_back: tuple[Document, ...]


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--again", action="store_true", help="train again what is there already")
    given = parser.parse_args()
    plan = toml.loads(PLAN.read_text(encoding="utf-8"))
    place = environment().model_copy(update={"experts": PACK})
    for name in given.only.split(",") if given.only else plan:
        if given.again or not (PACK / name).exists():
            told = plan[name]
            learnt, start = parts(name, corpora_folder()), told.get("start")
            precision = told.get("precision", "float32")
            build(name, told["domain"], told["licence"], learnt, place, start, precision, foundation="of" in told)


def parts(name: str, data: Path, seed: int = 0) -> list[Part]:
    """What the expert called `name` learns, and what is held back, from each of its corpora."""
    plan = toml.loads(PLAN.read_text(encoding="utf-8"))
    if "of" in plan[name]:
        return [part for other in plan[name]["of"] for part in _parts(plan[other], data, seed, shared=True)]
    return _parts(plan[name], data, seed)


def build(
    name: str,
    domain: str,
    licence: str,
    learnt: Sequence[Part],
    place: Environment,
    start: str | None = None,
    precision: Precision = "float32",
    *,
    foundation: bool = False,
) -> None:
    """Train one expert and keep it in `place`, saying how far it is."""

    def told(progress: TrainingProgress) -> None:
        if progress.step % 10 == 0 or progress.step == progress.steps:
            left = f"{progress.seconds_left / 60:.1f} min left"
            print(f"{name}: step {progress.step} of {progress.steps}, loss {progress.loss:.3f}, {left}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        files = []
        for part in learnt:
            path = Path(folder) / f"{part.corpus}.jsonl"
            write(part.learnt, path)
            files.append(TrainingData(path, part.licence, part.attribution))
        dev = Path(folder) / "held-back.jsonl"
        write([d for part in learnt for d in part.held_back], dev)
        brief = ExpertSpec(
            name,
            tuple(files),
            domain=domain,
            licence=licence,
            dev_path=dev,
            training=replace(GOING_ON if start else HOW, precision=precision),
            start=start,
            foundation=foundation,
            replace=True,
        )
        made = train_expert(brief, place, on_training=told)
    measured = made.card.scores[0]
    print(f"{name}: F1 {measured.f1:.3f}, spans {measured.spans_f1:.3f} on {measured.sentences} held back", flush=True)


def _parts(told: Mapping[str, Any], data: Path, seed: int, *, shared: bool = False) -> list[Part]:
    """Of one expert; its `shared` sentences alone, or those that it learns itself."""
    count = len(told["sources"])
    before = told.get("shared", 0) // count
    skipped, learnt = (0, before) if shared else (before, told["sentences"] // count)
    return [_part(source, data, skipped, learnt, HELD_BACK // count, seed) for source in told["sources"]]


def _part(source: Mapping[str, object], data: Path, skipped: int, learnt: int, held_back: int, seed: int) -> Part:
    """`learnt` sentences from behind the first `skipped`, which come last; the same of each seed in the same order."""
    corpus, apart = str(source["name"]), source.get("apart")
    files = source["files"]
    if not isinstance(files, list):
        raise TypeError(f"{corpus}: files must be a list")
    purpose = "an expert learns from them"
    found = [d for file in files for d in read_annotated(data / file, "en", purpose) if d.text.strip()]
    groups: dict[object, list[Document]] = {}
    for document in found:
        groups.setdefault(document.meta[str(apart)] if apart else document.text, []).append(document)
    draw = random.Random(f"{corpus}:{seed}")
    order = draw.sample(list(groups.values()), len(groups))
    dev: list[Document] = []
    while len(dev) < held_back:
        dev += order.pop()
    rest = [d for group in order for d in group]
    draw.shuffle(rest)
    full, empty = [d for d in rest if d.mentions], [d for d in rest if not d.mentions]
    few_skipped, few = (min(len(empty), round(EMPTY * count)) for count in (skipped, learnt))
    full, empty = _from(full, skipped - few_skipped), _from(empty, few_skipped)
    chosen = full[: learnt - few] + empty[:few]
    return Part(
        corpus,
        str(source["licence"]),
        str(source["attribution"]),
        tuple(_readable(d, corpus) for d in chosen),
        tuple(_readable(d, corpus) for d in dev[:held_back]),
    )


def _from(documents: Sequence[Document], place: int) -> list[Document]:
    """All of them, those from `place` on first."""
    return [*documents[place:], *documents[:place]]


def _readable(document: Document, corpus: str) -> Document:
    """With labels as people write them, so that the cards say what an expert knows, and an id unlike any other's."""
    mentions = tuple(replace(m, label=readable_name(m.label)) for m in document.mentions)
    return replace(document, id=f"{corpus}:{document.id}", mentions=mentions, tokens=(), meta={})


if __name__ == "__main__":
    main()
