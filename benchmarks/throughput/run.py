"""Seconds a sentence: the pipeline, a plain EL4NER, and the engine alone.

    python -m benchmarks.throughput.run [--sentences 100] [--parts 4] [--only "all four stages"]

On sentences of CoNLL-2003's valid.txt, demonstrations from its train.txt, with the embedded members, once with the
default settings (extraction and classification) and once with all stages of the paper:

- `ours`: the pipeline as users run it.
- `plain`: the very requests that `ours` sent, one at a time, each prompt evaluated from its first token, both cores on
  each. That is EL4NER as written down in the paper, on the same engine.
- `ceiling`: the same requests with the same reuse, nothing done with the answers and nobody waiting for one.

The sentences are split into parts, and each part is measured in all three ways, one after the other, each in a process
of its own, so that anything that slows the machine down for a while slows all three. Each part is a file in
`results/parts/`, so that a benchmark that was stopped resumes.
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

from benchmarks.common import UNCACHED_SETTINGS, corpora_folder, machine_info, read_sentences, source_revision
from benchmarks.throughput import engine
from entsemble.assembly import Assembly, without_mentions
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
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments)))
        return
    for name in SETTINGS:
        if arguments.only in {None, name}:
            part_results = [measure_part(name, i, arguments.sentences, arguments.parts) for i in range(arguments.parts)]
            result = join_parts(name, part_results, arguments.sentences)
            results_file(name).write_text(json.dumps(result, indent=1) + "\n")


def results_file(name: str) -> Path:
    """The file of one of SETTINGS."""
    return RESULTS / f"{_slug(name)}.json"


def measure_part(name: str, number: int, sentences: int, parts: int) -> dict[str, Any]:
    """Measure a part of the sentences in all ways, unless that was done before."""
    target = RESULTS / "parts" / f"{_slug(name)}-{sentences}-sentences-{number + 1}-of-{parts}.json"
    previous = json.loads(target.read_text()) if target.exists() else {}
    if previous.get("commit") != source_revision():
        target.parent.mkdir(parents=True, exist_ok=True)
        measurement: dict[str, Any] = {"commit": source_revision(), "machine": machine_info()}
        with tempfile.TemporaryDirectory() as folder:
            for way in WAYS:
                print(f"{name}, part {number + 1} of {parts}: {way}", flush=True)
                options = ["--only", name, "--sentences", sentences, "--parts", parts, "--part", number, "--way", way]
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.throughput.run",
                    *options,
                    "--requests",
                    f"{folder}/requests",
                ]
                completed = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
                measurement[way] = json.loads(completed.stdout.splitlines()[-1])
        target.write_text(json.dumps(measurement, indent=1) + "\n")
    return dict(json.loads(target.read_text()))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one way, in this process."""
    cores = len(os.sched_getaffinity(0))
    if arguments.way == "ours":
        seconds, evaluated, generated, submitted = run_pipeline(arguments)
    else:
        requests = engine.load_requests(arguments.requests)
        members = len({r.model for r in requests})
        run = engine.run_plain if arguments.way == "plain" else engine.run_ceiling
        seconds, evaluated, generated = run(requests, cores if arguments.way == "plain" else max(1, cores // members))
        submitted = None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "seconds": seconds,
        "evaluated": evaluated,
        "generated": generated,
        "submitted": submitted,
        "peak_mb": peak,
    }


def run_pipeline(arguments: argparse.Namespace) -> tuple[float, int, int, int]:
    """Run the pipeline and record its requests.

    Returns:
        Seconds, tokens evaluated, generated, submitted.
    """
    gold = read_sentences("conll2003-4col/valid.txt")
    sampled = random.Random(SEED).sample(gold, arguments.sentences)[arguments.part :: arguments.parts]
    overrides = SETTINGS[arguments.only]
    pool = {**overrides.get("pool", {}), "path": corpora_folder() / "conll2003-4col/train.txt"}
    settings = load(preset="balanced", overrides={**overrides, "pool": pool, **UNCACHED_SETTINGS})
    with engine.record_requests() as requests, Assembly(settings, environment()) as assembly:
        extractor = assembly.extractor()
        requests.clear()
        started = time.perf_counter()
        results = [r for r in extractor.extract(map(without_mentions, sampled)) if isinstance(r, Extracted)]
        seconds = time.perf_counter() - started
        engine.save_requests(requests, arguments.requests)
    if len(results) < len(sampled):
        sys.exit(f"{len(sampled) - len(results)} sentences failed")
    usage = total_usage(cost for r in results for _, _, cost in r.costs)
    return seconds, usage.evaluated_tokens, usage.generated_tokens, usage.prompt_tokens


def join_parts(name: str, parts: list[dict[str, Any]], sentences: int) -> dict[str, Any]:
    """Add up the parts.

    The ceiling is the engine's rate applied to the tokens that `ours` evaluated: without the grammar its replies are
    other tokens, and a few of them are not reused by the next prompt.
    """
    sums = {
        way: {k: sum(part[way][k] or 0 for part in parts) for k in ("seconds", "evaluated", "generated")}
        for way in WAYS
    }
    ours, plain, ceiling = (sums[way] for way in WAYS)
    ceiling["seconds"] *= (ours["evaluated"] + ours["generated"]) / (ceiling["evaluated"] + ceiling["generated"])
    ceiling |= {key: ours[key] for key in ("evaluated", "generated")}
    ratios = [_ratios(part) for part in parts]
    return {
        "settings": name,
        "command": f'python -m benchmarks.throughput.run --sentences {sentences} --parts {len(parts)} --only "{name}"',
        "commit": parts[-1]["commit"],
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": parts[-1]["machine"],
        "seed": SEED,
        "sentences": sentences,
        "submitted": sum(part["ours"]["submitted"] for part in parts),
        "ways": {way: {**sums[way], "peak_mb": max(part[way]["peak_mb"] for part in parts)} for way in WAYS},
        "times_faster_than_plain": plain["seconds"] / ours["seconds"],
        "share_of_ceiling": ceiling["seconds"] / ours["seconds"],
        "by_part": ratios,
    }


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _ratios(part: dict[str, Any]) -> dict[str, float]:
    ours, plain, ceiling = (part[way] for way in WAYS)
    rate = (ours["evaluated"] + ours["generated"]) / (ceiling["evaluated"] + ceiling["generated"])
    return {
        "times_faster_than_plain": plain["seconds"] / ours["seconds"],
        "share_of_ceiling": ceiling["seconds"] * rate / ours["seconds"],
    }


if __name__ == "__main__":
    main()
