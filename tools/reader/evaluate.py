"""Zero-shot figures of a reader: `python -m tools.reader.evaluate --weights FILE --encoder DIR --report FILE`.

The threshold is chosen on the development split of the held-out domains. Figures are of their test split and, with
`--benchmarks`, of the targets that nothing may be chosen by.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tools.reader.corpora import data_folder
from tools.reader.predict import Candidate, Predictor, decode, load_predictor
from tools.reader.scoring import Counts, compare, interval, total
from tools.reader.targets import Target, benchmark_targets, held_out_targets

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
BATCH = 8


def read_target(predictor: Predictor, target: Target, timed: int = 20) -> tuple[list[list[Candidate]], float]:
    """The candidates of each sentence, and seconds a sentence, one at a time, of the first `timed`."""
    order = sorted(range(len(target.texts)), key=lambda index: len(target.texts[index]))
    candidates: dict[int, list[Candidate]] = {}
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        read = predictor.candidates([target.texts[index] for index in part], target.shown, min(THRESHOLDS))
        candidates.update(zip(part, read, strict=True))
    begun = time.perf_counter()
    for text in target.texts[:timed]:
        predictor.candidates([text], target.shown, min(THRESHOLDS))
    seconds = (time.perf_counter() - begun) / max(1, min(timed, len(target.texts)))
    return [candidates[index] for index in range(len(target.texts))], seconds


def count(target: Target, candidates: Sequence[Sequence[Candidate]], threshold: float) -> list[Counts]:
    """The counts of each sentence at a threshold."""
    return [
        compare([(item.start, item.end, target.labels[item.label]) for item in decode(found, threshold)], truth)
        for found, truth in zip(candidates, target.truths, strict=True)
    ]


def best_threshold(predictor: Predictor, targets: Sequence[Target]) -> tuple[float, dict[str, float]]:
    """The threshold with the best mean typed F1, and that mean at each threshold."""
    means = dict.fromkeys(THRESHOLDS, 0.0)
    for target in targets:
        candidates, _ = read_target(predictor, target, timed=0)
        for threshold in THRESHOLDS:
            means[threshold] += total(count(target, candidates, threshold)).typed / len(targets)
    return max(means, key=lambda threshold: means[threshold]), {str(key): round(mean, 4) for key, mean in means.items()}


def measure(predictor: Predictor, targets: Sequence[Target], threshold: float) -> dict[str, Any]:
    """Typed and span F1 with intervals, and seconds a sentence, of each target and on average."""
    report: dict[str, Any] = {}
    for target in targets:
        candidates, seconds = read_target(predictor, target)
        counts = count(target, candidates, threshold)
        report[target.name] = {
            "sentences": len(counts),
            "mentions": total(counts).true,
            "labels": len(target.labels),
            "typed": interval(counts, "typed").rounded(),
            "spans": interval(counts, "spans").rounded(),
            "seconds_per_sentence": round(seconds, 4),
        }
    for kind in ("typed", "spans"):
        report[f"mean_{kind}"] = round(sum(report[target.name][kind][0] for target in targets) / len(targets), 4)
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Choose the threshold, measure, write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--benchmarks", action="store_true", help="also CrossNER and MIT")
    parser.add_argument("--threads", type=int, default=1)
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)
    data, predictor = data_folder(parsed.data), load_predictor(parsed.weights, parsed.encoder)
    threshold, means = best_threshold(predictor, held_out_targets(data, "dev", 100))
    report: dict[str, Any] = {
        "threshold": threshold,
        "development_typed_by_threshold": means,
        "threads": parsed.threads,
    }
    report["held_out"] = measure(predictor, held_out_targets(data, "test", parsed.sentences), threshold)
    if parsed.benchmarks:
        report["benchmarks"] = measure(predictor, benchmark_targets(data, parsed.sentences), threshold)
    parsed.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
