"""Two revisions of entsemble on the same sentences, one after the other and again.

    python -m benchmarks.throughput.revisions OLDER_TREE [--sentences 12] [--pairs 3]

OLDER_TREE is a working tree of the other revision (`git worktree add`); the newer one is this tree. Both run in this
Python with the same packages and models: `entsemble extract` on sentences of CoNLL-2003's valid.txt with a pool of 100
of its train.txt, without cached replies and without learning from the pool, and `entsemble demo`. In each pair the
revision that goes first changes, so that other work on the machine slows both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, corpora_folder, run_once
from entsemble.assembly import without_mentions
from entsemble.data.formats import read, write
from entsemble.settings import environment

RESULT = Path(__file__).parent / "results" / "revisions.json"
SEED = 0
_POOL = 100
_MAIN = "from entsemble.cli import main; main()"


def main() -> None:
    """Measure, unless that was done with the same command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("older", type=Path)
    parser.add_argument("--sentences", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    revision = _revision(arguments.older)
    size = f"--sentences {arguments.sentences} --pairs {arguments.pairs}"
    command = f"git worktree add OLDER {revision[:7]}; python -m benchmarks.throughput.revisions OLDER {size}"
    run_once(RESULT, command, lambda: measure(arguments.older.resolve(), arguments.sentences, arguments.pairs))


def measure(older: Path, sentence_count: int, pair_count: int) -> dict[str, Any]:
    """Seconds of each run of both revisions, and the median ratio of their pairs."""
    trees = {"older": older, "newer": ROOT}
    data = corpora_folder()
    generator = random.Random(SEED)
    seconds: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(
            map(without_mentions, _sample(data / "conll2003-4col/valid.txt", sentence_count, generator)),
            folder / "texts.jsonl",
        )
        write(_sample(data / "conll2003-4col/train.txt", _POOL, generator), folder / "pool.jsonl")
        for tree, path in trees.items():
            (folder / tree).mkdir()
            (folder / tree / "models").symlink_to(environment().cache / "models")
            for task in (_extract, _demo):
                task(path, folder, folder / tree)  # the pool's vectors, which are kept
        for pair in range(pair_count):
            for tree in list(trees)[:: 1 if pair % 2 == 0 else -1]:
                for task in (_extract, _demo):
                    taken = task(trees[tree], folder, folder / tree)
                    seconds.setdefault(task.__name__.strip("_"), {}).setdefault(tree, []).append(round(taken, 2))
                    print(pair + 1, tree, task.__name__.strip("_"), f"{taken:.1f} s", flush=True)
    return {
        "revisions": {tree: _revision(path) for tree, path in trees.items()},
        "sentences": sentence_count,
        "seconds": seconds,
        "newer / older, each pair": {task: _ratios(figures) for task, figures in seconds.items()},
        "newer / older, median": {task: statistics.median(_ratios(figures)) for task, figures in seconds.items()},
    }


def _extract(tree: Path, folder: Path, cache: Path) -> float:
    """Seconds that the sentences take, as the command says; without the start and the loading of models."""
    options = [folder / "texts.jsonl", "--pool", folder / "pool.jsonl", "--learn", "0", "--no-cache", "--json"]
    log = _run(tree, cache, "extract", *map(str, options), "--output", str(cache / "out.jsonl"))
    [summary] = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return float(summary["seconds"])


def _demo(tree: Path, _: Path, cache: Path) -> float:
    """Seconds that the demo takes as a process, start included."""
    start = time.perf_counter()
    _run(tree, cache, "demo", "--quiet")
    return time.perf_counter() - start


def _run(tree: Path, cache: Path, *arguments: str) -> str:
    variables = {**os.environ, "PYTHONPATH": str(tree / "src"), "ENTSEMBLE_CACHE": str(cache)}
    command = [sys.executable, "-c", _MAIN, *arguments]
    completed = subprocess.run(command, cwd=cache, env=variables, capture_output=True, text=True, check=False)
    if completed.returncode:
        sys.exit(f"{tree}: {completed.stderr}")
    return completed.stderr


def _sample(path: Path, count: int, generator: random.Random) -> list[Any]:
    return generator.sample([document for document in read(path) if document.text.strip()], count)


def _ratios(figures: dict[str, list[float]]) -> list[float]:
    return [round(newer / older, 3) for older, newer in zip(figures["older"], figures["newer"], strict=True)]


def _revision(tree: Path) -> str:
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
