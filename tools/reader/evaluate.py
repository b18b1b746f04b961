"""Zero-shot figures of a reader: `python -m tools.reader.evaluate --weights FILE --encoder DIR --report FILE`.

Without `--threshold`, the threshold is chosen on the development split of the held-out domains. Figures are of their
test split and, with `--benchmarks`, of the targets that nothing may be chosen by.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tools.corpora import corpora_folder
from tools.reader.predict import Candidate, Predictor, decode, load_predictor
from tools.reader.scoring import SpanCounts, compare, f1_with_interval, total
from tools.reader.targets import Target, benchmark_targets, held_out_targets

THRESHOLDS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
BATCH = 8


def read_target(
    predictor: Predictor, eval_target: Target, timed_count: int = 20
) -> tuple[list[list[Candidate]], float]:
    """The candidates of each sentence, and processor seconds a sentence, one at a time, of the first `timed_count`."""
    length_order = sorted(range(len(eval_target.texts)), key=lambda text_index: len(eval_target.texts[text_index]))
    candidates: dict[int, list[Candidate]] = {}
    for batch_start in range(0, len(length_order), BATCH):
        index_batch = length_order[batch_start : batch_start + BATCH]
        batch_candidates = predictor.candidates(
            [eval_target.texts[text_index] for text_index in index_batch], eval_target.shown, min(THRESHOLDS)
        )
        candidates.update(zip(index_batch, batch_candidates, strict=True))
    started_at = time.process_time()
    for sentence_text in eval_target.texts[:timed_count]:
        predictor.candidates([sentence_text], eval_target.shown, min(THRESHOLDS))
    seconds_each = (time.process_time() - started_at) / max(1, min(timed_count, len(eval_target.texts)))
    return [candidates[text_index] for text_index in range(len(eval_target.texts))], seconds_each


def count(eval_target: Target, candidates: Sequence[Sequence[Candidate]], threshold: float) -> list[SpanCounts]:
    """The counts of each sentence at a threshold."""
    return [
        compare(
            [
                (candidate.start, candidate.end, eval_target.labels[candidate.label])
                for candidate in decode(text_candidates, threshold)
            ],
            true_spans,
        )
        for text_candidates, true_spans in zip(candidates, eval_target.truths, strict=True)
    ]


def best_threshold(predictor: Predictor, eval_targets: Sequence[Target]) -> tuple[float, dict[str, float]]:
    """The threshold with the best mean typed F1, and that mean at each threshold."""
    mean_scores = dict.fromkeys(THRESHOLDS, 0.0)
    for eval_target in eval_targets:
        candidates, _ = read_target(predictor, eval_target, timed_count=0)
        for threshold in THRESHOLDS:
            mean_scores[threshold] += total(count(eval_target, candidates, threshold)).typed.f1 / len(eval_targets)
    return max(mean_scores, key=lambda threshold: mean_scores[threshold]), {
        str(threshold_key): round(mean_score, 4) for threshold_key, mean_score in mean_scores.items()
    }


def measure(predictor: Predictor, eval_targets: Sequence[Target], threshold: float) -> dict[str, Any]:
    """Typed and span F1 with intervals, and processor seconds a sentence, of each target and on average."""
    report_data: dict[str, Any] = {}
    for eval_target in eval_targets:
        candidates, seconds_each = read_target(predictor, eval_target)
        sentence_counts = count(eval_target, candidates, threshold)
        report_data[eval_target.name] = {
            "sentences": len(sentence_counts),
            "mentions": total(sentence_counts).typed.support,
            "labels": len(eval_target.labels),
            "typed": f1_with_interval([counts.typed for counts in sentence_counts]),
            "spans": f1_with_interval([counts.spans for counts in sentence_counts]),
            "processor_seconds_per_sentence": round(seconds_each, 4),
        }
    for score_kind in ("typed", "spans"):
        report_data[f"mean_{score_kind}"] = round(
            sum(report_data[eval_target.name][score_kind][0] for eval_target in eval_targets) / len(eval_targets), 4
        )
    return report_data


def main(arguments: Sequence[str] | None = None) -> None:
    """Choose the threshold, measure, write the report."""
    argument_parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    argument_parser.add_argument("--weights", type=Path, required=True)
    argument_parser.add_argument("--encoder", type=Path, required=True)
    argument_parser.add_argument("--report", type=Path, required=True)
    argument_parser.add_argument("--sentences", type=int, default=200)
    argument_parser.add_argument("--benchmarks", action="store_true", help="also CrossNER and MIT")
    argument_parser.add_argument("--threshold", type=float, help="before Platt scaling, such as the package's own")
    argument_parser.add_argument("--threads", type=int, default=1)
    parsed_arguments = argument_parser.parse_args(arguments)
    torch.set_num_threads(parsed_arguments.threads)
    data_root, predictor = corpora_folder(), load_predictor(parsed_arguments.weights, parsed_arguments.encoder)
    chosen_threshold, mean_scores = best_threshold(predictor, held_out_targets(data_root, "dev", 100))
    threshold = parsed_arguments.threshold or chosen_threshold
    report_data: dict[str, Any] = {
        "threshold": threshold,
        "development_typed_by_threshold": mean_scores,
        "threads": parsed_arguments.threads,
    }
    report_data["held_out"] = measure(
        predictor, held_out_targets(data_root, "test", parsed_arguments.sentences), threshold
    )
    if parsed_arguments.benchmarks:
        report_data["benchmarks"] = measure(
            predictor, benchmark_targets(data_root, parsed_arguments.sentences), threshold
        )
    parsed_arguments.report.write_text(json.dumps(report_data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
