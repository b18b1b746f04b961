"""Platt scaling of a reader's scores: `python -m tools.reader.calibrate --encoder DIR --weights FILE`.

It is fitted to what the reader would answer on the development split of the held-out domains, each domain with the
same weight, and prints the arguments of `tools.reader.export`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from entsemble.scoring.platt import IDENTITY, PlattScaling, fit_platt
from tools.corpora import corpora_folder
from tools.reader.evaluate import THRESHOLDS, read_target
from tools.reader.predict import Predictor, decode, load_predictor
from tools.reader.targets import Target, held_out_targets

SENTENCES = 100
PRIOR_STD = (10.0, 10.0)
"""Standard deviations of slope and intercept around the identity: a flat prior."""


def calibrate(predictor: Predictor, targets: Sequence[Target]) -> PlattScaling:
    """The scaling under which the scores of answers are the shares of right ones, as well as they can be.

    Args:
        predictor: the reader.
        targets: that it was not trained on.
    """
    scores: list[float] = []
    is_right: list[bool] = []
    weights: list[float] = []
    for target in targets:
        every, _ = read_target(predictor, target, timed_count=0)
        answers = [
            (answer.score, (answer.start, answer.end, target.labels[answer.label]) in truths)
            for candidates, truths in zip(every, target.truths, strict=True)
            for answer in decode(candidates, min(THRESHOLDS))
        ]
        scores += [score for score, _ in answers]
        is_right += [right for _, right in answers]
        weights += [1000 / len(answers)] * len(answers)
    return fit_platt(scores, is_right, IDENTITY, prior_std=PRIOR_STD, sample_weight=weights)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="config.json, tokenizer.json")
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    predictor = load_predictor(options.weights, options.encoder)
    scaling = calibrate(predictor, held_out_targets(corpora_folder(), "dev", SENTENCES))
    print(f"--slope {scaling.slope:.3f} --intercept {scaling.intercept:.3f}")


if __name__ == "__main__":
    main()
