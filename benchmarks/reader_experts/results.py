"""Counts of every system from the stored answers: `python -m benchmarks.reader_experts.results --answers DIR`.

The threshold of a system is the one with the best mean typed F1 on the development split of the held-out domains.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.corpora import corpora_folder
from tools.reader.evaluate import THRESHOLDS, count
from tools.reader.predict import Candidate
from tools.reader.scoring import total
from tools.reader.targets import Target, benchmark_targets, held_out_targets

from benchmarks.common import machine_info, source_revision
from benchmarks.reader_experts.domains import DOMAINS
from benchmarks.reader_experts.domains import SENTENCES as TRAINING_SENTENCES
from benchmarks.reader_experts.run import DEVELOPMENT_SENTENCES, EXPERTS, SAMPLED_SENTENCES, SENTENCES, own_targets
from benchmarks.reader_experts.systems import DOMAIN, MEAN, OWN, READER, RESULT, SAMPLED, SINGLE, UNIFIED, UNION

Answers = list[list[Candidate]]


def read_answers(folder: Path, target: Target, system: str) -> Answers:
    """The scored spans of each sentence, for one of `SINGLE`."""
    rows = json.loads((folder / "answers" / target.name / f"{system}.json").read_text(encoding="utf-8"))["answers"]
    return [[Candidate(*row) for row in sentence] for sentence in rows]


def combine(first: Answers, second: Answers, rule: Callable[[float, float], float]) -> Answers:
    """Two models' answers as one: a rule on both scores of each span and label, 0 where a model has none."""
    combined = []
    for sentence in zip(first, second, strict=True):
        one, other = ({(c.start, c.end, c.label): c.score for c in answers} for answers in sentence)
        scores = {key: rule(one.get(key, 0.0), other.get(key, 0.0)) for key in one.keys() | other.keys()}
        ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        combined.append([Candidate(*key, score) for key, score in ordered])
    return combined


def with_sam(answers: Mapping[str, Answers]) -> dict[str, Answers]:
    """The answers with those of SaM, which integrates the two merged models."""
    views = answers[DOMAIN], answers[SAMPLED]
    mean = combine(*views, lambda one, other: (one + other) / 2)
    return {**answers, MEAN: mean, UNION: combine(*views, max)}


def choose_thresholds(development: Sequence[tuple[Target, Mapping[str, Answers]]]) -> dict[str, float]:
    """System -> threshold."""
    systems = list(development[0][1])
    means = {
        system: {
            threshold: sum(total(count(target, answers[system], threshold)).typed.f1 for target, answers in development)
            for threshold in THRESHOLDS
        }
        for system in systems
    }
    return {system: max(THRESHOLDS, key=means[system].__getitem__) for system in systems}


def counts_of(target: Target, answers: Answers, threshold: float) -> dict[str, Any]:
    """[tp, fp, fn] of each sentence, of typed mentions and of spans."""
    sentences = count(target, answers, threshold)
    return {
        "typed": [[c.typed.tp, c.typed.fp, c.typed.fn] for c in sentences],
        "spans": [[c.spans.tp, c.spans.fp, c.spans.fn] for c in sentences],
    }


def _answered(folder: Path, target: Target) -> tuple[Target, dict[str, Answers]]:
    """A target with as many of its sentences as every system has answered."""
    answers = {system: read_answers(folder, target, system) for system in SINGLE}
    number = min(map(len, answers.values()))
    shortened = {system: sentences[:number] for system, sentences in answers.items()}
    return replace(target, texts=target.texts[:number], truths=target.truths[:number]), with_sam(shortened)


def main() -> None:
    """Write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, required=True, help="folder that benchmarks.reader_experts.run wrote")
    options = parser.parse_args()
    data_root, folder = corpora_folder(), options.answers
    development = [_answered(folder, t) for t in held_out_targets(data_root, "dev", DEVELOPMENT_SENTENCES)]
    thresholds = choose_thresholds(development)
    result: dict[str, Any] = {
        "command": "python -m benchmarks.reader_experts.results --answers DIR",
        "commit": source_revision(),
        "machine": machine_info(),
        "experts": len(DOMAINS),
        "training_sentences": TRAINING_SENTENCES,
        "selected": EXPERTS,
        "sampled_sentences": SAMPLED_SENTENCES,
        "thresholds": thresholds,
        "development": {
            system: sum(total(count(target, answers[system], threshold)).typed.f1 for target, answers in development)
            / len(development)
            for system, threshold in thresholds.items()
        },
        "targets": {},
        "own": {},
    }
    for whole in benchmark_targets(data_root, SENTENCES):
        target, answers = _answered(folder, whole)
        files = {view: folder / "answers" / target.name / f"{view}.json" for view in (DOMAIN, SAMPLED)}
        result["targets"][target.name] = {
            "selected": {view: json.loads(file.read_text(encoding="utf-8"))["weights"] for view, file in files.items()},
            "systems": {s: counts_of(target, answers[s], threshold) for s, threshold in thresholds.items()},
        }
    for domain, target in own_targets(data_root):
        result["own"][domain] = {
            system: counts_of(
                target, read_answers(folder, target, system), thresholds[UNIFIED if system == UNIFIED else READER]
            )
            for system in (READER, OWN, UNIFIED)
        }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
