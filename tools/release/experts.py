"""Train the experts that ship with entsemble, into `src/entsemble/experts/pack`.

    python -m tools.release.experts [--only politics,social] [--again]

Needs the corpora: the folder that ENTSEMBLE_DATA names. `experts.toml` lists the data. The card of each expert names
its data, the number of sentences and the seed. An expert that exists is not trained again, and an interrupted training
resumes.
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
from entsemble.assembly import TrainingData
from entsemble.assembly.expert_training import ExpertSpec, train_expert
from entsemble.data.annotated import read_annotated
from entsemble.data.formats import write
from entsemble.experts.checkpoint import TrainingSettings
from entsemble.experts.training import TrainingProgress
from entsemble.prompting.labels import readable_name
from entsemble.settings import Environment, environment
from entsemble.types import Document, Precision
from tools.corpora import ROOT, corpora_folder

PACK = ROOT / "src" / "entsemble" / "experts" / "pack"
PLAN = Path(__file__).with_name("experts.toml")

TRAINING = TrainingSettings(rank=4, alpha=8, batch=4, learning_rate=3e-3)
CONTINUED_TRAINING = replace(TRAINING, learning_rate=1e-3)
"""For experts that start from another one: slower, so that its knowledge is kept."""

HELD_OUT = 100
"""Sentences of each expert's data that are not trained on."""

MAX_EMPTY_SHARE = 0.15
"""Of the training sentences, without a mention: they teach the expert restraint, and little else."""

_PROGRESS_STEPS = 10


@dataclass(frozen=True, slots=True)
class CorpusSplit:
    """The sentences of one corpus that an expert is trained on, and those that are held out."""

    corpus: str
    licence: str
    attribution: str
    training: tuple[Document, ...]
    held_out: tuple[Document, ...]


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="names of experts, separated by commas")
    parser.add_argument("--again", action="store_true", help="train again what exists")
    options = parser.parse_args()
    plan = load_plan()
    pack = environment().model_copy(update={"experts": PACK})
    for name in options.only.split(",") if options.only else plan:
        if options.again or not (PACK / name).exists():
            entry = plan[name]
            train(
                name,
                corpus_splits(name, corpora_folder()),
                pack,
                domain=entry["domain"],
                licence=entry["licence"],
                start=entry.get("start"),
                precision=entry.get("precision", "float32"),
                foundation="of" in entry,
            )


def load_plan() -> dict[str, Any]:
    """Name of an expert -> its table in `experts.toml`."""
    return toml.loads(PLAN.read_text(encoding="utf-8"))


def corpus_splits(name: str, data: Path, seed: int = 0) -> list[CorpusSplit]:
    """The data of the expert called `name`, from each of its corpora.

    Args:
        name: in the plan.
        data: the folder of the corpora.
        seed: of the random samples.
    """
    plan = load_plan()
    if "of" in plan[name]:
        return [split for other in plan[name]["of"] for split in _split_sources(plan[other], data, seed, shared=True)]
    return _split_sources(plan[name], data, seed)


def train(
    name: str,
    splits: Sequence[CorpusSplit],
    target: Environment,
    *,
    domain: str,
    licence: str,
    start: str | None = None,
    precision: Precision = "float32",
    foundation: bool = False,
) -> None:
    """Train one expert, and print the progress.

    Args:
        name: of the expert.
        splits: its data.
        target: its folder of experts gets the new one.
        domain: what the texts are about.
        licence: of the expert.
        start: name of the expert to start from, if any.
        precision: of the base model in training.
        foundation: whether other experts start from it.
    """

    def print_progress(progress: TrainingProgress) -> None:
        if progress.step % _PROGRESS_STEPS == 0 or progress.step == progress.total_steps:
            minutes = f"{progress.seconds_left / 60:.1f} min left"
            print(
                f"{name}: step {progress.step} of {progress.total_steps}, loss {progress.loss:.3f}, {minutes}",
                flush=True,
            )

    with tempfile.TemporaryDirectory() as folder:
        files = []
        for split in splits:
            path = Path(folder) / f"{split.corpus}.jsonl"
            write(split.training, path)
            files.append(TrainingData(path, split.licence, split.attribution))
        dev_path = Path(folder) / "held-back.jsonl"
        write([document for split in splits for document in split.held_out], dev_path)
        spec = ExpertSpec(
            name,
            tuple(files),
            domain=domain,
            licence=licence,
            dev_path=dev_path,
            training=replace(CONTINUED_TRAINING if start else TRAINING, precision=precision),
            start=start,
            foundation=foundation,
            replace=True,
        )
        expert = train_expert(spec, target, on_training=print_progress)
    score = expert.card.scores[0]
    print(f"{name}: F1 {score.f1:.3f}, spans {score.spans_f1:.3f} on {score.sentences} held-out sentences", flush=True)


def _split_sources(entry: Mapping[str, Any], data: Path, seed: int, *, shared: bool = False) -> list[CorpusSplit]:
    """The data of an expert: its `shared` sentences, or those that it is trained on itself."""
    source_count = len(entry["sources"])
    shared_count = entry.get("shared", 0) // source_count
    skipped, count = (0, shared_count) if shared else (shared_count, entry["sentences"] // source_count)
    held_out = HELD_OUT // source_count
    return [_split_source(source, data, skipped, count, held_out, seed) for source in entry["sources"]]


def _split_source(
    source: Mapping[str, object], data: Path, skipped: int, count: int, held_out_count: int, seed: int
) -> CorpusSplit:
    """Random training and held-out sentences of a corpus.

    Args:
        source: a table of the plan.
        data: the folder of the corpora.
        skipped: sentences that come last in the order, because the foundation expert is trained on them.
        count: training sentences.
        held_out_count: held-out sentences; those with the same value of the source's `apart` are on one side.
        seed: the order of the sentences depends on it and on the corpus only.
    """
    corpus, group_key = str(source["name"]), source.get("apart")
    files = source["files"]
    if not isinstance(files, list):
        raise TypeError(f"{corpus}: files must be a list")
    purpose = "an expert learns from them"
    documents = [document for file in files for document in read_annotated(data / file, None, "en", purpose)]
    groups: dict[object, list[Document]] = {}
    for document in documents:
        if document.text.strip():
            group = document.meta[str(group_key)] if group_key else document.text
            groups.setdefault(group, []).append(document)
    generator = random.Random(f"{corpus}:{seed}")
    order = generator.sample(list(groups.values()), len(groups))
    held_out: list[Document] = []
    while len(held_out) < held_out_count:
        held_out += order.pop()
    remaining = [document for group in order for document in group]
    generator.shuffle(remaining)
    return CorpusSplit(
        corpus,
        str(source["licence"]),
        str(source["attribution"]),
        tuple(_with_readable_labels(document, corpus) for document in _select_training(remaining, skipped, count)),
        tuple(_with_readable_labels(document, corpus) for document in held_out[:held_out_count]),
    )


def _select_training(documents: Sequence[Document], skipped: int, count: int) -> list[Document]:
    """Training sentences with at most `MAX_EMPTY_SHARE` empty ones, from behind the skipped ones."""
    annotated = [document for document in documents if document.mentions]
    empty = [document for document in documents if not document.mentions]
    skipped_empty, empty_count = (min(len(empty), round(MAX_EMPTY_SHARE * total)) for total in (skipped, count))
    annotated = _rotate(annotated, skipped - skipped_empty)
    return annotated[: count - empty_count] + _rotate(empty, skipped_empty)[:empty_count]


def _rotate(documents: Sequence[Document], count: int) -> list[Document]:
    """The documents with the first `count` moved to the end."""
    return [*documents[count:], *documents[:count]]


def _with_readable_labels(document: Document, corpus: str) -> Document:
    """With readable labels, which the cards list, and an id that is unique among the corpora."""
    mentions = tuple(replace(mention, label=readable_name(mention.label)) for mention in document.mentions)
    return replace(document, id=f"{corpus}:{document.id}", mentions=mentions, tokens=(), meta={})


if __name__ == "__main__":
    main()
