"""Time and memory by the size of the input: documents, labels, sentences of a pool, experts.

    python -m benchmarks.growth.run [--only pool] [--again]

On synthetic inputs of one seed, each size in a process of its own. `seconds` are wall-clock time, `cpu_seconds` those
of the processor, which depend less on other work on the machine; `peak_mb` is the most memory the process had.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, run_once
from benchmarks.growth.inputs import SEED, gold_and_predicted
from entsemble.data.formats import write

RESULTS = Path(__file__).parent / "results"
LABELLED_DOCUMENTS = 10_000
"""Documents that are scored with different numbers of labels."""

_SHIPPED_EXPERT = ROOT / "src" / "entsemble" / "experts" / "pack" / "common"

Row = dict[str, Any]


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", choices=MEASUREMENTS)
    parser.add_argument("--again", action="store_true", help="measure what has been measured, too")
    arguments = parser.parse_args()
    for name, (sizes, measure) in MEASUREMENTS.items():
        if arguments.only in {None, name}:
            command = f"python -m benchmarks.growth.run --only {name}"
            inputs = {"seed": SEED, "sizes": sizes}
            run_once(
                RESULTS / f"{name}.json", command, partial(_measure_all, sizes, measure), inputs, force=arguments.again
            )


def _measure_all(sizes: Sequence[int], measure: Callable[[int, Path], Row]) -> Mapping[str, object]:
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"size": size, **measure(size, Path(folder))})
        print(rows[-1], flush=True)
    return {"rows": rows}


def score_documents(size: int, folder: Path) -> Row:
    """`entsemble score` on so many documents of two mentions and four labels."""
    return _score(folder, size, label_count=4)


def score_page(size: int, folder: Path) -> Row:
    """`entsemble score --html` on so many documents of two mentions and four labels."""
    return _score(folder, size, 4, "--html")


def score_labels(size: int, folder: Path) -> Row:
    """`entsemble score` on `LABELLED_DOCUMENTS` with so many labels."""
    return _score(folder, LABELLED_DOCUMENTS, label_count=size)


def list_experts(size: int, folder: Path) -> Row:
    """`entsemble experts list` with so many experts: the first time, and when their checksums are remembered."""
    store, weights = folder / "experts", folder / "weights"
    shutil.copytree(_SHIPPED_EXPERT, weights)
    card = json.loads((weights / "card.json").read_text(encoding="utf-8"))
    for number in range(size):
        expert_folder = store / f"expert-{number:05}"
        expert_folder.mkdir(parents=True)
        for file_name in card["files"]:
            os.link(weights / file_name, expert_folder / file_name)
        content = json.dumps({**card, "name": expert_folder.name}, indent=1)
        (expert_folder / "card.json").write_text(content, encoding="utf-8")
    time.sleep(2.5)  # a file that just changed is not remembered
    command = [sys.executable, "-m", "entsemble", "experts", "list"]
    environment = {**os.environ, "ENTSEMBLE_EXPERTS": str(store)}
    first = _run(command, environment)
    return {"first": first, **_run(command, environment)}


def build_and_search_pool(size: int, folder: Path) -> Row:
    """A pool of so many sentences: encoded, indexed and searched; see `benchmarks.growth.pool`."""
    steps = folder / "steps.json"
    usage = _run([sys.executable, "-m", "benchmarks.growth.pool", str(size), str(steps)])
    return {**usage, "steps": json.loads(steps.read_text(encoding="utf-8"))}


def _score(folder: Path, document_count: int, label_count: int, option: str = "--json") -> Row:
    gold, predicted, report = (folder / name for name in ("gold.jsonl", "predicted.jsonl", "report"))
    write((document for document, _ in gold_and_predicted(document_count, label_count)), gold)
    write((document for _, document in gold_and_predicted(document_count, label_count)), predicted)
    command = [sys.executable, "-m", "entsemble", "score", str(gold), str(predicted), option, str(report)]
    return _run(command)


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Row:
    """Run a command to its end, which must be a success: its seconds and its peak memory."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }


MEASUREMENTS: Mapping[str, tuple[Sequence[int], Callable[[int, Path], Row]]] = {
    "score-documents": ((1_000, 10_000, 100_000, 1_000_000), score_documents),
    "score-page": ((1_000, 10_000, 100_000, 1_000_000), score_page),
    "score-labels": ((10, 100, 1_000, 10_000), score_labels),
    "pool": ((1_000, 10_000, 100_000), build_and_search_pool),
    "experts": ((10, 100, 1_000), list_experts),
}
"""Name of a measurement -> its sizes, and what measures one size in an empty folder."""


if __name__ == "__main__":
    main()
