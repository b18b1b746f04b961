"""Distillation on WNUT17: a student beside its teacher, on sentences that neither was chosen by.

    python -m benchmarks.distil.run [--shots 4] [--seed 0] [--texts 1880]

500 sentences of the training file, drawn by the seed, are the pool; the rest of the file is the unlabelled text. Then
both are scored on sentences of the development file, the teacher with the whole pool. Needs the corpora: the folder
that ENTSEMBLE_DATA names. It takes hours on two cores, and goes on where it was stopped; what it makes lies in `cache`,
beside this file, which is not committed. The result is in `results/wnut17.json`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import spacy

from benchmarks.common import corpora_folder, machine_info, source_revision
from entsemble.data import docbin
from entsemble.data.formats import read, write
from entsemble.distillation.student import measure_speed
from entsemble.types import Document

CACHE = Path(__file__).parent / "cache"
RESULT = Path(__file__).parent / "results" / "wnut17.json"

POOL = 500
SCORED = 300
TIMED = 60
"""Of these, that the teacher is timed on, no reply known beforehand."""


def main() -> None:
    """Run what is missing, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shots", type=int, default=4, help="demonstrations a sentence (default 4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--texts", type=int, help="unlabelled texts; all if not given")
    options = parser.parse_args()
    sampling_options = ["--shots", str(options.shots), "--seed", str(options.seed)]
    text_options = [] if options.texts is None else ["--texts", str(options.texts)]
    limit_options = [] if options.texts is None else ["--limit", str(options.texts)]
    folder = CACHE / " ".join([*sampling_options, *text_options])
    gold = prepared(corpora_folder() / "wnut17", options.seed, folder)
    distilled = folder / "distil.json"
    if not distilled.exists():
        texts, student = str(folder / "texts.jsonl"), str(folder / "student")
        predictions = entsemble(
            "distil",
            texts,
            "--pool",
            str(folder / "pool.jsonl"),
            "-o",
            student,
            *sampling_options,
            *limit_options,
            "--json",
            "--replace",
        )
        distilled.write_text(predictions, encoding="utf-8")
    teacher = folder / "teacher.json"
    if not teacher.exists():
        entsemble(
            "evaluate", str(gold), "--pool", str(folder / "pool.jsonl"), *sampling_options, "--json", str(teacher)
        )
    timed = folder / "timed.json"
    if not timed.exists():
        timing_options = ["--limit", str(TIMED), "--no-cache", "--json", str(timed)]
        entsemble("evaluate", str(gold), "--pool", str(folder / "pool.jsonl"), *sampling_options, *timing_options)
    timed_cost = json.loads(timed.read_text(encoding="utf-8"))["cost"]
    result = {
        "command": f"python -m benchmarks.distil.run {' '.join([*sampling_options, *text_options])}",
        "commit": source_revision(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": machine_info(),
        "pool": POOL,
        "distilled": json.loads(distilled.read_text(encoding="utf-8")),
        "scored": SCORED,
        "teacher": json.loads(teacher.read_text(encoding="utf-8"))["micro"],
        "timed": TIMED,
        "student_rate": student_rate(folder),
        "teacher_rate": timed_cost["sentences"] / timed_cost["seconds"],
        "student": student_report(gold, folder)["micro"],
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def prepared(corpus: Path, seed: int, folder: Path) -> Path:
    """Write the pool and the unlabelled rest, and return the file of what is scored."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(seed)
    training_documents = list(read([corpus / "wnut17train.conll"]))
    shuffled = generator.sample(training_documents, len(training_documents))
    development_documents = list(read([corpus / "emerging.dev.conll"]))
    gold = folder / "gold.jsonl"
    write(shuffled[:POOL], folder / "pool.jsonl", overwrite=True)
    write((Document(d.id, d.text) for d in shuffled[POOL:]), folder / "texts.jsonl", overwrite=True)
    write(generator.sample(development_documents, SCORED), gold, overwrite=True)
    return gold


def student_report(gold: Path, folder: Path) -> dict[str, dict[str, object]]:
    """What `entsemble score` says of the student."""
    nlp = spacy.load(folder / "student")
    documents = list(read([gold]))
    predictions = zip(documents, nlp.pipe(d.text for d in documents), strict=True)
    answers = folder / "student.jsonl"
    write((replace(d, mentions=docbin.read_mentions(doc)) for d, doc in predictions), answers, overwrite=True)
    report = folder / "student.json"
    entsemble("score", str(gold), str(answers), "--json", str(report))
    return dict(json.loads(report.read_text(encoding="utf-8")))


def student_rate(folder: Path) -> float:
    """Sentences a second, of the unlabelled texts."""
    return measure_speed(spacy.load(folder / "student"), [d.text for d in read([folder / "texts.jsonl"])])


def entsemble(*words: str) -> str:
    """Standard output of a command of entsemble."""
    command = [str(Path(sys.executable).with_name("entsemble")), *words]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
