"""Threads that sleep while they wait for each other, against threads that spin, on cores that are free or busy.

    python -m benchmarks.throughput.waiting [--rounds 3] [--only "llama.cpp,label reader"]

Two threads evaluate the same prompts (llama.cpp) or sentences (the label reader) in a process of their own, whose
seconds on the clock and of the processor are counted without its start. *Sleeping* is what entsemble does. *Spinning*
is what the libraries do by themselves: GNU's OpenMP looks 300,000 times (`GOMP_SPINCOUNT`), ONNX Runtime as often as
it likes. On *busy* cores, as many other processes count as there are cores. In each round all four run one after the
other, so that other work on the machine meets all of them; its load at the start of each is stored.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, read_sentences, run_once
from entsemble.backends.catalogue import ModelCard
from entsemble.backends.download import local_path
from entsemble.backends.label_reader.model import LabelReader
from entsemble.backends.llamacpp.engine import LlamaCppOptions, start_engine
from entsemble.backends.model_spec import parse_model
from entsemble.prompting.labels import label_set
from entsemble.settings import environment

RESULTS = Path(__file__).parent / "results" / "waiting"
ENGINES = ("llama.cpp", "label reader")
WAYS = ("sleeping", "spinning")
_SPINNING = {"GOMP_SPINCOUNT": "300000"}
_THREADS = 2
_PROMPTS, _PROMPT_CHARACTERS, _SENTENCES = 3, 1200, 40
_READER = ROOT / "src" / "entsemble" / "backends" / "label_reader" / "label-reader"
_LABELS = label_set({"person": "", "organisation": "", "location": ""})
_COUNT_FOR_EVER = "while True: sum(range(10_000))"


def main() -> None:
    """Measure what is missing; with `--child`, run one task and print its seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(ENGINES))
    parser.add_argument("--child", nargs=2, metavar=("ENGINE", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_task(*options.child)))
        return
    for engine in options.only.split(","):
        command = f'python -m benchmarks.throughput.waiting --rounds {options.rounds} --only "{engine}"'
        file = RESULTS / f"{engine.replace(' ', '-')}.json"
        run_once(file, command, partial(measure, engine, options.rounds))


def measure(engine: str, rounds: int) -> dict[str, Any]:
    """The seconds of every run, by the state of the cores and the way of waiting, and the medians of their ratios."""
    runs: dict[str, dict[str, list[dict[str, float]]]] = {
        cores: {way: [] for way in WAYS} for cores in ("otherwise free", "busy")
    }
    for number in range(rounds):
        for cores, by_way in runs.items():
            with busy_cores() if cores == "busy" else as_they_are():
                for way in WAYS[:: 1 if number % 2 == 0 else -1]:
                    by_way[way].append(_run_child(engine, way))
                    print(engine, cores, way, by_way[way][-1], flush=True)
    ratios = {
        cores: {
            kind: statistics.median(
                spinning[kind] / sleeping[kind]
                for sleeping, spinning in zip(by_way["sleeping"], by_way["spinning"], strict=True)
            )
            for kind in ("clock", "processor")
        }
        for cores, by_way in runs.items()
    }
    return {"engine": engine, "threads": _THREADS, "runs": runs, "spinning / sleeping, median": ratios}


def run_task(engine: str, way: str) -> Mapping[str, float]:
    """Seconds on the clock and of the processor, without the loading of the model."""
    task = _llama_cpp() if engine == "llama.cpp" else _label_reader(spins=way == "spinning")
    clock, processor = time.perf_counter(), time.process_time()
    task()
    return {"clock": round(time.perf_counter() - clock, 2), "processor": round(time.process_time() - processor, 2)}


def _run_child(engine: str, way: str) -> dict[str, float]:
    variables = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    if way == "spinning":
        variables |= _SPINNING
    command = [sys.executable, "-m", "benchmarks.throughput.waiting", "--child", engine, way]
    load = os.getloadavg()[0]
    finished = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    return {**json.loads(finished.stdout.splitlines()[-1]), "load": round(load, 1)}


@contextmanager
def busy_cores() -> Iterator[None]:
    """As many processes that only count as there are cores."""
    cores = len(os.sched_getaffinity(0))
    processes = [subprocess.Popen([sys.executable, "-c", _COUNT_FOR_EVER]) for _ in range(cores)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def as_they_are() -> Iterator[None]:
    """No other process of this benchmark."""
    yield


def _sampled_texts(count: int) -> list[str]:
    texts = [document.text for document in read_sentences("conll2003-4col/valid.txt")]
    return random.Random(0).sample(texts, count)


def _llama_cpp() -> Callable[[], object]:
    """Evaluate prompts of some 300 tokens, none of which begins like another."""
    source = parse_model("smollm2-135m").source
    model = local_path(source, environment().cache) if isinstance(source, ModelCard) else None
    if model is None:
        sys.exit("smollm2-135m is not on this machine: run `entsemble models pull smollm2-135m`")
    engine = start_engine(model, LlamaCppOptions(context=1024, slots=1, threads=_THREADS))
    text = " ".join(_sampled_texts(200))
    prompts = [text[number * _PROMPT_CHARACTERS :][:_PROMPT_CHARACTERS] for number in range(_PROMPTS)]
    return lambda: [engine.complete({"prompt": prompt, "max_tokens": 8, "temperature": 0.0}) for prompt in prompts]


def _label_reader(*, spins: bool) -> Callable[[], object]:
    """Score the spans of sentences."""
    import onnxruntime

    if spins:
        onnxruntime.SessionOptions.add_session_config_entry = lambda *_: None  # ONNX Runtime spins by itself
    reader = LabelReader("reader", _READER, threads=_THREADS)
    texts = _sampled_texts(_SENTENCES)
    return lambda: [reader.score_spans([text], _LABELS, 0.1) for text in texts]


if __name__ == "__main__":
    main()
