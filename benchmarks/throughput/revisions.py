"""Two revisions of entsemble on the same sentences, one after the other and again.

    python -m benchmarks.throughput.revisions OLDER_TREE [--sentences 6] [--pairs 3] [--demos 1]

OLDER_TREE is a working tree of the other revision (`git worktree add`); the newer one is this tree. Both run in this
Python with the same packages and models: `entsemble extract` on sentences of CoNLL-2003's valid.txt with a pool of 40
of its train.txt, by the preset balanced, without cached replies and without learning from the pool, and `entsemble
demo`, which shows what a revision does by default. In each pair the revision that goes first changes. Beside the time
on the clock there are the seconds that the processor spent on each process, its start included, which other work on the
machine changes less. Threads that wait do so alike in both (`GOMP_SPINCOUNT`), whatever the revisions do by themselves,
since on busy cores that would decide.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, corpora_folder, run_once
from entsemble.assembly import without_mentions
from entsemble.data.formats import read, write
from entsemble.settings import environment
from entsemble.types import Document

RESULT = Path(__file__).parent / "results" / "revisions.json"
SEED = 0
_POOL = 40
_MAIN = "from entsemble.cli import main; main()"
_SPIN_COUNT = "1000"

Figures = dict[str, float]


def main() -> None:
    """Measure, unless that was done with the same command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("older", type=Path)
    parser.add_argument("--sentences", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=3, help="runs of `extract` with each revision")
    parser.add_argument("--demos", type=int, default=1, help="runs of `demo` with each revision")
    arguments = parser.parse_args()
    revision = _revision(arguments.older)
    counts = {task: count for task, count in (("extract", arguments.pairs), ("demo", arguments.demos)) if count}
    size = f"--sentences {arguments.sentences} --pairs {arguments.pairs} --demos {arguments.demos}"
    command = f"git worktree add OLDER {revision[:7]}; python -m benchmarks.throughput.revisions OLDER {size}"
    run_once(RESULT, command, lambda: measure(arguments.older.resolve(), arguments.sentences, counts))


def measure(older: Path, sentence_count: int, pair_counts: Mapping[str, int]) -> dict[str, Any]:
    """Seconds of each run of both revisions, and the median ratio of their pairs."""
    trees = {"older": older, "newer": ROOT}
    generator, data = random.Random(SEED), corpora_folder()
    runs: dict[str, dict[str, list[Figures]]] = {task: {tree: [] for tree in trees} for task in pair_counts}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sentences = _sample(data / "conll2003-4col/valid.txt", sentence_count, generator)
        write(map(without_mentions, sentences), folder / "texts.jsonl")
        write(_sample(data / "conll2003-4col/train.txt", _POOL, generator), folder / "pool.jsonl")
        for tree, path in trees.items():
            (folder / tree).mkdir()
            (folder / tree / "models").symlink_to(environment().cache / "models")
            _run("extract", path, folder, folder / tree)  # the pool's vectors and the models' checksums are kept
        for task, pair_count in pair_counts.items():
            for pair in range(pair_count):
                for tree in list(trees)[:: 1 if pair % 2 == 0 else -1]:
                    runs[task][tree].append(_run(task, trees[tree], folder, folder / tree))
                    print(task, pair + 1, tree, runs[task][tree][-1], flush=True)
    ratios = {task: {kind: _ratios(by_tree, kind) for kind in ("clock", "processor")} for task, by_tree in runs.items()}
    return {
        "revisions": {tree: _revision(path) for tree, path in trees.items()},
        "runs": runs,
        "newer / older": ratios,
        "newer / older, median": {
            task: {kind: statistics.median(values) for kind, values in by_kind.items()}
            for task, by_kind in ratios.items()
        },
    }


def _run(task: str, tree: Path, folder: Path, cache: Path) -> Figures:
    """Seconds of a process, and the tokens of `extract`."""
    options = ["demo", "--quiet"]
    if task == "extract":
        options = ["extract", str(folder / "texts.jsonl"), "--pool", str(folder / "pool.jsonl"), "--learn", "0"]
        options += ["--preset", "balanced"]
        options += ["--no-cache", "--json", "--output", str(cache / "out.jsonl")]
    variables = {"PYTHONPATH": str(tree / "src"), "ENTSEMBLE_CACHE": str(cache), "GOMP_SPINCOUNT": _SPIN_COUNT}
    command = [sys.executable, "-c", _MAIN, *options]
    start, usage_before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = {**os.environ, **variables}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise every process compiles all modules, which users' do once
    completed = subprocess.run(command, cwd=cache, env=environ, capture_output=True, text=True, check=False)
    clock, usage = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if completed.returncode:
        sys.exit(f"{tree}: {completed.stderr}")
    processor = usage.ru_utime + usage.ru_stime - usage_before.ru_utime - usage_before.ru_stime
    figures = {"clock": round(clock, 1), "processor": round(processor, 1)}
    for line in completed.stderr.splitlines():
        if line.startswith("{"):
            summary = json.loads(line)
            tokens = {
                "evaluated tokens": summary["prompt_tokens_evaluated"],
                "generated tokens": summary["generated_tokens"],
            }
            figures |= tokens
    return figures


def _sample(path: Path, count: int, generator: random.Random) -> list[Document]:
    return generator.sample([document for document in read(path) if document.text.strip()], count)


def _ratios(by_tree: dict[str, list[Figures]], kind: str) -> list[float]:
    pairs = zip(by_tree["older"], by_tree["newer"], strict=True)
    return [round(newer[kind] / older[kind], 3) for older, newer in pairs]


def _revision(tree: Path) -> str:
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
