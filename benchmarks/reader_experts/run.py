"""SaM on the label reader, and what it is compared with: `python -m benchmarks.reader_experts.run`.

Every answer (a model's scored spans of a target) is stored, so that a run that was stopped goes on where it was. Four
steps: how each expert does on a sample of each target; how close each domain is; the merged models' answers; the
figures, from `answers`, by `benchmarks.reader_experts.table`.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tools.corpora import corpora_folder
from tools.reader.corpora import Document, load_sources, read_columns, read_source
from tools.reader.mixture import load_mixture
from tools.reader.predict import Candidate, Predictor, decode
from tools.reader.targets import FILES, SEED, Target, benchmark_targets, held_out_targets, target_of

from benchmarks.reader_experts.domains import DOMAINS, sample_domain
from benchmarks.reader_experts.merge import ExpertReaders, SentenceVectors
from benchmarks.reader_experts.train import UNIFIED
from entsemble.experts.selection import (
    MentionSet,
    agreement_with_gold,
    cluster_centres,
    domain_similarity,
    select_best,
)

SENTENCES, DEVELOPMENT_SENTENCES = 200, 40
SAMPLED_SENTENCES = 15
EXPERTS = 3
"""That are selected by each view, as the settings' `max_experts`."""

VARIANTS = {"nearest": ("domain", 1), "domain": ("domain", EXPERTS), "sampled": ("sampled", EXPERTS)}
"""Name -> by which score experts are selected, and how many."""

DOMAIN_SENTENCES = 64
"""Of the target, without annotation, that its domain is known by."""

CENTRE_SENTENCES = 256
"""Of a domain, that its centres are computed from."""

OWN_SENTENCES = 60
"""Of a domain, on which its expert is compared with the reader and the unified model."""

LEAST = 0.005
SAMPLE_THRESHOLD = 0.07
"""At which experts are compared on the sample: the shipped reader's best on the held-out domains' development split."""

BATCH = 8


@dataclass(frozen=True)
class Job:
    """A target with the sentences of it whose annotation may be used."""

    target: Target
    sample: Target


def jobs(data_root: Path) -> Iterator[Job]:
    """The held-out domains, for choices, then the targets."""
    for target in held_out_targets(data_root, "dev", DEVELOPMENT_SENTENCES):
        [source] = [source for source in load_sources() if source.name == target.name]
        train = [document for document in read_source(source, data_root) if document.split == "train"]
        yield Job(target, _sample(target, train))
    for target in benchmark_targets(data_root, SENTENCES):
        file = FILES[target.name].replace("dev.txt", "train.txt")
        train = [
            Document(target.name, text, tuple(mentions), "train") for text, mentions in read_columns(data_root / file)
        ]
        yield Job(target, _sample(target, train))


def own_targets(data_root: Path) -> Iterator[tuple[str, Target]]:
    """Each domain with development sentences of its first corpus that has some."""
    sources = {source.name: source for source in load_sources()}
    for domain, names in DOMAINS.items():
        for name in names:
            rows = [document for document in read_source(sources[name], data_root) if document.split == "dev"]
            if rows:
                yield domain, target_of(f"own-{domain}", rows, OWN_SENTENCES)
                break


def _sample(target: Target, train: Sequence[Document]) -> Target:
    """Training sentences with mentions that are not scored, asked for the target's labels."""
    scored = set(target.texts)
    usable = sorted({d.text: d for d in train if d.mentions and d.text not in scored}.values(), key=lambda d: d.text)
    random.Random(SEED).shuffle(usable)
    sampled = target_of(target.name, usable, SAMPLED_SENTENCES)
    return Target(target.name, sampled.texts, sampled.truths, target.labels, target.shown)


def read_answers(predictor: Predictor, target: Target) -> list[list[Candidate]]:
    """The scored spans of each sentence."""
    order = sorted(range(len(target.texts)), key=lambda index: len(target.texts[index]))
    answers: dict[int, list[Candidate]] = {}
    for first in range(0, len(order), BATCH):
        indices = order[first : first + BATCH]
        texts = [target.texts[index] for index in indices]
        with torch.autocast("cpu", torch.bfloat16):
            read = predictor.candidates(texts, target.shown, LEAST)
        answers.update(zip(indices, read, strict=True))
    return [answers[index] for index in range(len(order))]


@dataclass(frozen=True)
class Run:
    """The folder of the answers, and how they come about."""

    folder: Path
    readers: ExpertReaders

    def answer(self, name: str, target: Target, weights: Mapping[str, float]) -> None:
        """Store the answers of a merged model, unless they are there; more sentences than before are added to them."""
        file = self.folder / "answers" / target.name / f"{name}.json"
        rows = json.loads(file.read_text(encoding="utf-8"))["answers"] if file.exists() else []
        if len(rows) >= len(target.texts):
            return
        remaining = replace(target, texts=target.texts[len(rows) :], truths=target.truths[len(rows) :])
        answers = read_answers(self.readers.merged(weights), remaining)
        rows += [[[c.start, c.end, c.label, round(c.score, 4)] for c in sentence] for sentence in answers]
        _write(file, {"weights": dict(weights), "answers": rows})
        print(target.name, name, len(rows), flush=True)

    def sampled_scores(self, job: Job) -> dict[str, float]:
        """F1 of each expert on the sample."""
        file = self.folder / "sampled" / f"{job.target.name}.json"
        scores: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        gold = [frozenset(truth) for truth in job.sample.truths]
        for name in (name for name in DOMAINS if name not in scores):
            predictions = [
                _mentions(sentence, job.target)
                for sentence in read_answers(self.readers.merged({name: 1.0}), job.sample)
            ]
            scores |= agreement_with_gold({name: predictions}, gold)
            _write(file, scores)
        return scores


def _mentions(answers: Sequence[Candidate], target: Target) -> MentionSet:
    return frozenset((c.start, c.end, target.labels[c.label]) for c in decode(answers, SAMPLE_THRESHOLD))


def domain_scores(
    file: Path, data_root: Path, encoder_folder: Path, every: Sequence[Job]
) -> dict[str, dict[str, float]]:
    """Target -> domain -> similarity; stored, as it needs the experts' sentences."""
    if file.exists():
        stored: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8"))
        return stored
    mixture, vectors, centres = load_mixture(data_root), SentenceVectors(encoder_folder), {}
    for domain in DOMAINS:
        texts = [document.text for document in sample_domain(mixture, domain)][:CENTRE_SENTENCES]
        centres[domain] = cluster_centres(vectors.encode(texts))[0]
    scores = {
        job.target.name: domain_similarity(vectors.encode(job.target.texts[:DOMAIN_SENTENCES]), centres)
        for job in every
    }
    _write(file, scores)
    return scores


def _write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(value) + "\n", encoding="utf-8")
    partial.replace(file)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="config.json, tokenizer.json, model.safetensors")
    parser.add_argument("--experts", type=Path, required=True, help="folder that benchmarks.reader_experts.train wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=SENTENCES, help="of each target")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data_root = corpora_folder()
    run = Run(options.out, ExpertReaders(options.experts, options.encoder))
    every = list(jobs(data_root))
    similarity = domain_scores(options.out / "domain.json", data_root, options.encoder, every)
    for job in every:
        texts, truths = job.target.texts[: options.sentences], job.target.truths[: options.sentences]
        target = replace(job.target, texts=texts, truths=truths)
        run.answer("reader", target, {})
        run.answer("all", target, dict.fromkeys(DOMAINS, 1 / len(DOMAINS)))
        run.answer("unified", target, {UNIFIED: 1.0})
        run.answer("half unified", target, {UNIFIED: 0.5})  # the mean of its weights and the reader's
        scores = {"domain": similarity[target.name], "sampled": run.sampled_scores(job)}
        for name, (view, count) in VARIANTS.items():
            run.answer(name, target, select_best(scores[view], count).weights)
    for domain, target in own_targets(data_root):
        run.answer("reader", target, {})
        run.answer("own", target, {domain: 1.0})
        run.answer("unified", target, {UNIFIED: 1.0})


if __name__ == "__main__":
    main()
