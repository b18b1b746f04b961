"""The learning curve: `python -m tools.reader.curve --run DIR --encoder DIR --report FILE.json [--plot FILE.png]`.

F1 on the development split of the held-out domains for every snapshot of a run, by sentences seen. Snapshots that the
report has are not measured again, so that it can be called while the run goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from tools.corpora import corpora_folder
from tools.reader.evaluate import THRESHOLDS, count, read_target
from tools.reader.predict import load_predictor
from tools.reader.scoring import total
from tools.reader.targets import Target, held_out_targets
from tools.reader.train import Options

SENTENCES = 40


def measure_snapshot(
    weights_file: Path, encoder_folder: Path, eval_targets: Sequence[Target], sentences_seen: int
) -> dict[str, Any]:
    """One point of the curve: typed and span F1 of each domain at the threshold with the best mean, and the means."""
    predictor = load_predictor(weights_file, encoder_folder)
    candidates = {target.name: read_target(predictor, target, timed_count=0)[0] for target in eval_targets}
    curve_points = []
    for threshold in THRESHOLDS:
        domain_counts = {
            target.name: total(count(target, candidates[target.name], threshold)) for target in eval_targets
        }
        curve_points.append(
            {
                "weights": weights_file.name,
                "sentences_seen": sentences_seen,
                "threshold": threshold,
                "mean_typed": round(fmean(counts.typed.f1 for counts in domain_counts.values()), 4),
                "mean_spans": round(fmean(counts.spans.f1 for counts in domain_counts.values()), 4),
                "domains": {
                    name: [round(counts.typed.f1, 4), round(counts.spans.f1, 4)]
                    for name, counts in domain_counts.items()
                },
            }
        )
    return max(curve_points, key=lambda curve_point: curve_point["mean_typed"])


def snapshots_of(run_folder: Path) -> list[tuple[Path, int]]:
    """Weights of a run with the number of sentences seen, the released ones last."""
    snapshots = [
        (weights_file, int(weights_file.stem.split("-")[1]) * Options(run_folder).batch_size)
        for weights_file in sorted(run_folder.glob("snapshot-*.safetensors"))
    ]
    if (run_folder / "released.safetensors").exists():
        last_line = (run_folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        snapshots.append((run_folder / "released.safetensors", json.loads(last_line)["sentences"]))
    return snapshots


def plot(curve_points: Sequence[dict[str, Any]], image_file: Path) -> None:
    """Draw the means and each domain's typed F1."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    plot_figure, plot_axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    thousands_seen = [curve_point["sentences_seen"] / 1000 for curve_point in curve_points]
    for score_kind, line_style in (("typed", "-"), ("spans", "--")):
        plot_axes.plot(
            thousands_seen,
            [curve_point[f"mean_{score_kind}"] for curve_point in curve_points],
            line_style,
            color="black",
            label=f"mean, {score_kind}",
        )
    for domain_name in curve_points[0]["domains"]:
        plot_axes.plot(
            thousands_seen,
            [curve_point["domains"][domain_name][0] for curve_point in curve_points],
            marker=".",
            linewidth=1,
            label=f"{domain_name}, typed",
        )
    plot_axes.set_xlabel("training sentences seen (thousands)")
    plot_axes.set_ylabel(f"zero-shot F1, {SENTENCES} sentences a domain")
    plot_axes.set_ylim(bottom=0)
    plot_axes.grid(alpha=0.3)
    plot_figure.legend(fontsize=8, loc="outside right center")
    plot_figure.savefig(image_file, dpi=150)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the snapshots that are new, write the report, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="the folder of the training run")
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    curve_report: dict[str, Any] = {"sentences_per_domain": SENTENCES, "points": []}
    if parsed.report.exists():
        curve_report = json.loads(parsed.report.read_text(encoding="utf-8"))
    measured = {curve_point["weights"] for curve_point in curve_report["points"]}
    eval_targets = held_out_targets(corpora_folder(), "dev", SENTENCES)
    for weights_file, sentences_seen in snapshots_of(parsed.run):
        if weights_file.name not in measured:
            curve_report["points"].append(measure_snapshot(weights_file, parsed.encoder, eval_targets, sentences_seen))
            parsed.report.parent.mkdir(parents=True, exist_ok=True)
            parsed.report.write_text(json.dumps(curve_report, indent=1) + "\n", encoding="utf-8")
    if parsed.plot:
        plot(curve_report["points"], parsed.plot)


if __name__ == "__main__":
    main()
