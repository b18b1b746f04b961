"""The learning curve: `python -m tools.reader.curve --run DIR --encoder DIR --report FILE.json [--plot FILE.png]`.

F1 on the development split of the held-out domains for every snapshot of a run, by sentences seen. Snapshots that the
report has are not measured again, so that it can be called while the run goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tools.reader.corpora import data_folder
from tools.reader.evaluate import count, read_target
from tools.reader.predict import load_predictor
from tools.reader.scoring import total
from tools.reader.targets import Target, held_out_targets
from tools.reader.train import Options

SENTENCES, THRESHOLD = 40, 0.2


def measure_snapshot(weights: Path, encoder: Path, targets: Sequence[Target], sentences_seen: int) -> dict[str, Any]:
    """One point of the curve: typed and span F1 of each domain at a fixed threshold, and their means."""
    predictor = load_predictor(weights, encoder)
    point: dict[str, Any] = {"weights": weights.name, "sentences_seen": sentences_seen, "domains": {}}
    for target in targets:
        counts = total(count(target, read_target(predictor, target, timed=0)[0], THRESHOLD))
        point["domains"][target.name] = [round(counts.typed, 4), round(counts.spans, 4)]
    for index, kind in enumerate(("typed", "spans")):
        values = [pair[index] for pair in point["domains"].values()]
        point[f"mean_{kind}"] = round(sum(values) / len(values), 4)
    return point


def plot(points: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw the means and each domain's typed F1."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    seen = [point["sentences_seen"] / 1000 for point in points]
    for kind, style in (("typed", "-"), ("spans", "--")):
        axes.plot(seen, [point[f"mean_{kind}"] for point in points], style, color="black", label=f"mean, {kind}")
    for name in points[0]["domains"]:
        axes.plot(
            seen, [point["domains"][name][0] for point in points], marker=".", linewidth=1, label=f"{name}, typed"
        )
    axes.set_xlabel("training sentences seen (thousands)")
    axes.set_ylabel(f"zero-shot F1, {SENTENCES} sentences a domain")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=150)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the snapshots that are new, write the report, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="the folder of the training run")
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    report: dict[str, Any] = {"sentences_per_domain": SENTENCES, "threshold": THRESHOLD, "points": []}
    if parsed.report.exists():
        report = json.loads(parsed.report.read_text(encoding="utf-8"))
    measured = {point["weights"] for point in report["points"]}
    targets = held_out_targets(data_folder(parsed.data), "dev", SENTENCES)
    for weights in sorted(parsed.run.glob("snapshot-*.safetensors")):
        if weights.name not in measured:
            seen = int(weights.stem.split("-")[1]) * Options(parsed.run).batch_size
            report["points"].append(measure_snapshot(weights, parsed.encoder, targets, seen))
            parsed.report.parent.mkdir(parents=True, exist_ok=True)
            parsed.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if parsed.plot:
        plot(report["points"], parsed.plot)


if __name__ == "__main__":
    main()
