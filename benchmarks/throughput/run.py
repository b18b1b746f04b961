"""Seconds a sentence: the pipeline, a plain EL4NER, and the engine alone.

    python -m benchmarks.throughput.run [--sentences 100] [--parts 4] [--only "all four stages"]

On sentences of CoNLL-2003's valid.txt, demonstrations from its train.txt, with the embedded members, once with the
default settings (extraction and classification) and once with all stages of the paper:

- `ours`: the pipeline as users run it.
- `plain`: the very requests that `ours` sent, one at a time, each prompt evaluated from its first token, both cores on
  each. That is EL4NER as written down in the paper, on the same engine.
- `ceiling`: the same requests with the same reuse, nothing done with the answers and nobody waiting for one.

The sentences are cut into parts, and each part is measured in all three ways, one after the other, each in a process
of its own: what slows the machine down for a while slows all three. Every part is kept in `results/parts/`, so a
benchmark that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.common import UNCACHED_SETTINGS, corpora_folder, machine_info, source_revision
from benchmarks.throughput import engine
from entsemble.assembly import Assembly, without_mentions
from entsemble.data.formats import read
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import total_usage

RESULTS = Path(__file__).parent / "results"
SEED = 0
WAYS = ("ours", "plain", "ceiling")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "all four stages": {"pool": {"similarity": "span"}, "verification": {"member": "gemma-3-270m"}},
}


def main() -> None:
    """Measure what is missing, then join the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--only", choices=SETTINGS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measured(given)))
        return
    for name in SETTINGS:
        if given.only in {None, name}:
            found = [part(name, i, given.sentences, given.parts) for i in range(given.parts)]
            told = joined(name, found, given.sentences)
            results(name).write_text(json.dumps(told, indent=1) + "\n")


def results(name: str) -> Path:
    """The file of one of SETTINGS."""
    return RESULTS / f"{_slug(name)}.json"


def part(name: str, number: int, sentences: int, parts: int) -> dict[str, Any]:
    """One part of the sentences in all ways."""
    target = RESULTS / "parts" / f"{_slug(name)}-{sentences}-sentences-{number + 1}-of-{parts}.json"
    told_before = json.loads(target.read_text()) if target.exists() else {}
    if told_before.get("commit") != source_revision():
        target.parent.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = {"commit": source_revision(), "machine": machine_info()}
        with tempfile.TemporaryDirectory() as folder:
            for way in WAYS:
                print(f"{name}, part {number + 1} of {parts}: {way}", flush=True)
                told = ["--only", name, "--sentences", sentences, "--parts", parts, "--part", number, "--way", way]
                command = [sys.executable, "-m", "benchmarks.throughput.run", *told, "--requests", f"{folder}/requests"]
                ran = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
                found[way] = json.loads(ran.stdout.splitlines()[-1])
        target.write_text(json.dumps(found, indent=1) + "\n")
    return dict(json.loads(target.read_text()))


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """One way, in this process."""
    cores = len(os.sched_getaffinity(0))
    if given.way == "ours":
        seconds, evaluated, generated, submitted = ours(given)
    else:
        requests = engine.saved(given.requests)
        members = len({r.model for r in requests})
        run = engine.plainly if given.way == "plain" else engine.ceiling
        seconds, evaluated, generated = run(requests, cores if given.way == "plain" else max(1, cores // members))
        submitted = None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "seconds": seconds,
        "evaluated": evaluated,
        "generated": generated,
        "submitted": submitted,
        "peak_mb": peak,
    }


def ours(given: argparse.Namespace) -> tuple[float, int, int, int]:
    """The pipeline, its requests written down.

    Returns:
        Seconds, tokens evaluated, generated, submitted.
    """
    data = corpora_folder()
    gold = [d for d in read(data / "conll2003-4col/valid.txt") if d.text.strip()]
    drawn = random.Random(SEED).sample(gold, given.sentences)[given.part :: given.parts]
    asked = SETTINGS[given.only]
    pool = {**asked.get("pool", {}), "path": data / "conll2003-4col/train.txt"}
    settings = load(overrides={**asked, "pool": pool, **UNCACHED_SETTINGS})
    with engine.recorded() as requests, Assembly(settings, environment()) as assembly:
        extractor = assembly.extractor()
        requests.clear()
        began = time.perf_counter()
        results = [r for r in extractor.extract(map(without_mentions, drawn)) if isinstance(r, Extracted)]
        seconds = time.perf_counter() - began
        engine.save(requests, given.requests)
    if len(results) < len(drawn):
        sys.exit(f"{len(drawn) - len(results)} sentences failed")
    usage = total_usage(cost for r in results for _, _, cost in r.costs)
    return seconds, usage.evaluated_tokens, usage.generated_tokens, usage.prompt_tokens


def joined(name: str, parts: list[dict[str, Any]], sentences: int) -> dict[str, Any]:
    """The parts as one result.

    The ceiling is the engine's rate applied to the tokens that `ours` evaluated: without the grammar its replies are
    other tokens, and a few of them are not reused by the next prompt.
    """
    sums = {w: {k: sum(p[w][k] or 0 for p in parts) for k in ("seconds", "evaluated", "generated")} for w in WAYS}
    a, b, c = (sums[w] for w in WAYS)
    c["seconds"] *= (a["evaluated"] + a["generated"]) / (c["evaluated"] + c["generated"])
    c |= {key: a[key] for key in ("evaluated", "generated")}
    ratios = [_ratios(p) for p in parts]
    return {
        "settings": name,
        "command": f'python -m benchmarks.throughput.run --sentences {sentences} --parts {len(parts)} --only "{name}"',
        "commit": parts[-1]["commit"],
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": parts[-1]["machine"],
        "seed": SEED,
        "sentences": sentences,
        "submitted": sum(p["ours"]["submitted"] for p in parts),
        "ways": {w: {**sums[w], "peak_mb": max(p[w]["peak_mb"] for p in parts)} for w in WAYS},
        "times_faster_than_plain": b["seconds"] / a["seconds"],
        "share_of_ceiling": c["seconds"] / a["seconds"],
        "by_part": ratios,
    }


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _ratios(part: dict[str, Any]) -> dict[str, float]:
    a, b, c = (part[w] for w in WAYS)
    rate = (a["evaluated"] + a["generated"]) / (c["evaluated"] + c["generated"])
    return {
        "times_faster_than_plain": b["seconds"] / a["seconds"],
        "share_of_ceiling": c["seconds"] * rate / a["seconds"],
    }


if __name__ == "__main__":
    main()
