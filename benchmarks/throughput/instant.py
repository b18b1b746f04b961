"""Short documents by second of processor time on one core, without a language model, by this revision and an older one.

    python -m benchmarks.throughput.instant OLDER_TREE [--rounds 3]

OLDER_TREE is a working tree of the other revision (`git worktree add`). `entsemble extract` with a pool of 200
sentences of CoNLL-2003's train.txt answers 100 and then some hundred more other sentences of 20 to 25 words, as
documents; the difference of both runs is the cost of a document, everything that a run does once left out: reading,
splitting, the models, the journal and writing. With the preset `instant`, and with the sequence tagger and the pool's
statistics alone, which one table of a configuration says. All on one core; whatever else the machine does, processor
time is counted, and both revisions are measured in each round. Their answers must be the same.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common import ROOT, read_sentences, run_once
from entsemble._lib.text import word_spans
from entsemble.data.formats import write
from entsemble.types import Document

RESULT = Path(__file__).parent / "results" / "instant.json"
SEED = 0
POOL, FIRST = 200, 100
CONFIGURATIONS: Mapping[str, tuple[Sequence[str], int]] = {
    "instant": (("--preset", "instant"), 400),
    "tagger and pool": (("--config", "tagger.toml"), 1000),
}
"""Name -> options, and how many documents more the second run has."""

_MAIN = "from entsemble.cli import main; main()"


def main() -> None:
    """Measure, unless that was done with the same command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("older", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    trees = {"older": arguments.older.resolve(), "newer": ROOT}
    revisions = {name: _revision(tree) for name, tree in trees.items()}
    command = f"git worktree add OLDER {revisions['older'][:7]}; python -m benchmarks.throughput.instant OLDER"
    run_once(RESULT, command, lambda: {"revisions": revisions, "runs": measure(trees, arguments.rounds)})


def measure(trees: Mapping[str, Path], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Configuration -> revision -> milliseconds of processor time a document, in each round."""
    runs: dict[str, dict[str, list[float]]] = {name: {tree: [] for tree in trees} for name in CONFIGURATIONS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        most = max(more for _, more in CONFIGURATIONS.values())
        pool, documents = sample(FIRST + most)
        write(pool, folder / "pool.jsonl")
        (folder / "tagger.toml").write_text('[[voices]]\nmodel = "tagger"\n', encoding="utf-8")
        for configuration, (options, more) in CONFIGURATIONS.items():
            for tree, path in trees.items():  # what is learned from the pool is kept, for the runs that are measured
                seconds(path, folder, tree, options, documents[:2])
            for number in range(rounds):
                for tree in list(trees)[:: 1 if number % 2 == 0 else -1]:
                    few = seconds(trees[tree], folder, tree, options, documents[:FIRST])
                    many = seconds(trees[tree], folder, tree, options, documents[: FIRST + more])
                    runs[configuration][tree].append(round(1000 * (many - few) / more, 3))
                    print(configuration, number + 1, tree, runs[configuration][tree][-1], flush=True)
                older, newer = ((folder / f"{tree}.jsonl").read_text(encoding="utf-8") for tree in trees)
                if older != newer:
                    sys.exit(f"{configuration}: the answers of the two revisions differ")
    return runs


def sample(count: int) -> tuple[list[Document], list[Document]]:
    """A pool, and other sentences of 20 to 25 words."""
    sentences = list({document.text: document for document in read_sentences("conll2003-4col/train.txt")}.values())
    shuffled = random.Random(SEED).sample(sentences, len(sentences))
    others = [document for document in shuffled[POOL:] if 20 <= len(word_spans(document.text)) <= 25]
    return shuffled[:POOL], [
        Document(f"text {number}", document.text) for number, document in enumerate(others[:count])
    ]


def seconds(tree: Path, folder: Path, name: str, options: Sequence[str], documents: Sequence[Document]) -> float:
    """Processor time of `entsemble extract` on one core.

    Args:
        tree: of the revision.
        folder: of the pool, of the texts, and of what each revision learns and writes.
        name: of the revision; its results are in `NAME.jsonl`.
        options: of a configuration.
        documents: to answer.
    """
    write(documents, folder / "texts.jsonl", overwrite=True)
    (folder / f"{name}.jsonl").unlink(missing_ok=True)
    command = [sys.executable, "-c", _MAIN, "extract", "texts.jsonl", "--pool", "pool.jsonl", "--quiet", *options]
    command += ["--output", f"{name}.jsonl"]
    variables = {"PYTHONPATH": str(tree / "src"), "ENTSEMBLE_CACHE": str(folder / name), "OPENBLAS_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    core = min(os.sched_getaffinity(0))
    subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def median_ratio(by_tree: Mapping[str, Sequence[float]]) -> float:
    """Newer by older, of the rounds' medians."""
    return statistics.median(n / o for o, n in zip(by_tree["older"], by_tree["newer"], strict=True))


def _revision(tree: Path) -> str:
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
