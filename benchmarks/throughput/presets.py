"""The cost and F1 of the presets for this machine.

    python -m benchmarks.throughput.presets [--sentences 40]

On sentences of CoNLL-2003's valid.txt, demonstrations from a pool of 200 of its train.txt. The presets run one after
another, each in the engine that users have, and nothing is remembered from one to the next. What is finished once for a
pool, such as learning from it and choosing experts, is timed by itself.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import read_sentences, run_missing
from benchmarks.quality.compare import count_sentences
from entsemble.assembly import Assembly, SelectionInputs, adapt_to_documents, without_mentions
from entsemble.data.formats import write
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import total_usage

RESULTS = Path(__file__).parent / "results" / "presets"
PRESETS = ("balanced", "fast", "best")
SEED = 0
POOL = 200


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sentences", type=int, default=40)
    arguments = parser.parse_args()
    command = f"python -m benchmarks.throughput.presets --sentences {arguments.sentences}"
    run_missing(RESULTS, PRESETS, command, partial(measure, count=arguments.sentences))


def measure(preset: str, count: int) -> dict[str, Any]:
    """Seconds, tokens and counts of a preset."""
    gold = random.Random(SEED).sample(read_sentences("conll2003-4col/valid.txt"), count)
    train = read_sentences("conll2003-4col/train.txt")
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        write(random.Random(SEED).sample(train, POOL), pool)
        run_environment = environment({"ENTSEMBLE_CACHE": f"{folder}/cache"})
        (Path(folder) / "cache").mkdir()
        (Path(folder) / "cache" / "models").symlink_to(environment().cache / "models")
        started = time.perf_counter()
        requested = load(preset=preset, overrides={"pool": {"path": pool}, "cache": {"replies": False}})
        settings, _, _ = adapt_to_documents(
            SelectionInputs(requested, run_environment, held_out=gold), map(without_mentions, gold)
        )
        with Assembly(settings, run_environment, held_out=gold) as assembly:
            extractor = assembly.extractor()
            prepared = time.perf_counter()
            results = [r for r in extractor.extract(map(without_mentions, gold)) if isinstance(r, Extracted)]
            finished = time.perf_counter()
    if len(results) < count:
        sys.exit(f"{count - len(results)} sentences failed")
    usage = total_usage(cost for r in results for _, _, cost in r.costs)
    print(preset, f"{prepared - started:.0f} s, then {(finished - prepared) / count:.2f} s a sentence", flush=True)
    return {
        "preset": preset,
        "seed": SEED,
        "pool": POOL,
        "preparation_seconds": prepared - started,
        "seconds": finished - prepared,
        "prompt_tokens_evaluated": usage.evaluated_tokens,
        "counts": count_sentences(gold, [r.document.mentions for r in results]),
    }


if __name__ == "__main__":
    main()
