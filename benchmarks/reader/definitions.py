"""Do definitions and counter-examples in the label file help the label reader?

    python -m benchmarks.reader.definitions --encoder DIR

Definitions: of the corpora themselves, where they have any (two of the held-out domains), and of GoLLIE's guidelines
(O. Sainz et al., 2024) for CrossNER and MIT; whole, and their first sentence alone. Counter-examples (`not: ...`): what
the reader took for a label twice or more, and always wrongly, in 100 development sentences of a held-out domain; the
figures are of other sentences. All at one threshold.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from tools.corpora import corpora_folder
from tools.reader.corpora import load_sources, read_definitions
from tools.reader.evaluate import count
from tools.reader.predict import Candidate, Predictor, decode, load_predictor
from tools.reader.scoring import SpanCounts
from tools.reader.targets import Target, benchmark_targets, held_out_targets

from benchmarks.common import run_once
from benchmarks.reader.table import AS_IT_IS, DEFINITIONS

COMMAND = "python -m benchmarks.reader.definitions --encoder DIR --weights FILE"
THRESHOLD = 0.07
SENTENCES = 100
BATCH = 8
_GUIDELINES = {"mit-movie": ("mitmovie", "mit"), "mit-restaurant": ("mitrestaurant", "mit")}
_SPELLINGS = {
    "misc": "miscellaneous",
    "organisation": "organization",
    "metrics": "metric",
    "programlang": "programminglanguage",
}
"""A label as CrossNER writes it -> as GoLLIE does."""


def definitions_of(target: Target, data_root: Path) -> dict[str, str]:
    """Label -> definition, of those that have one."""
    sources = [source for source in load_sources() if source.name == target.name]
    if sources:
        return {label: texts[0] for label, texts in read_definitions(sources[0], data_root).items() if texts}
    domain = target.name.removeprefix("crossner-").replace("science", "naturalscience")
    corpus, prefix = _GUIDELINES.get(target.name, ("crossner", f"crossner_{domain}"))
    file = data_root / "diverse" / "definitions" / "definitions_gollie.json"
    guidelines = json.loads(file.read_text(encoding="utf-8"))[corpus]
    by_key = {re.sub(r"\W|_", "", key): " ".join(texts[0].split()) for key, texts in guidelines.items()}
    keys = {label: re.sub(r"\W|_", "", prefix + _SPELLINGS.get(label, label.lower())) for label in target.labels}
    return {label: by_key[key] for label, key in keys.items() if key in by_key}


def shown_with(target: Target, definitions: Mapping[str, str]) -> Target:
    """The target with labels as a label file with definitions shows them."""
    pairs = zip(target.labels, target.shown, strict=True)
    shown = tuple(f"{name}: {definitions[label]}" if label in definitions else name for label, name in pairs)
    return replace(target, shown=shown)


def first_sentences(definitions: Mapping[str, str]) -> dict[str, str]:
    """Definitions that end where their first sentence does."""
    return {label: re.split(r"(?<=[a-z)])\. ", text)[0] for label, text in definitions.items()}


def read(predictor: Predictor, target: Target) -> list[list[Candidate]]:
    """The scored spans of each sentence."""
    answers: list[list[Candidate]] = []
    with torch.autocast("cpu", torch.bfloat16):
        for first in range(0, len(target.texts), BATCH):
            answers += predictor.candidates(target.texts[first : first + BATCH], target.shown, THRESHOLD)
    return answers


def counter_examples(target: Target, answers: Sequence[Sequence[Candidate]]) -> set[tuple[str, int]]:
    """Lower-case names and labels that they were given wrongly, twice or more, and never rightly."""
    right, wrong = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for text, truths, candidates in zip(target.texts, target.truths, answers, strict=True):
        for c in decode(candidates, THRESHOLD):
            is_right = (c.start, c.end, target.labels[c.label]) in truths
            (right if is_right else wrong)[text[c.start : c.end].lower(), c.label] += 1
    return {pair for pair, times in wrong.items() if times > 1 and pair not in right}


def measure(predictor: Predictor, target: Target, development: Target | None, data_root: Path) -> dict[str, object]:
    """Counts of each sentence under each condition."""
    definitions = definitions_of(target, data_root)
    as_it_is = read(predictor, target)
    results = {AS_IT_IS: count(target, as_it_is, THRESHOLD)}
    if definitions:
        for name, texts in (("definitions", definitions), ("first sentences", first_sentences(definitions))):
            results[name] = count(target, read(predictor, shown_with(target, texts)), THRESHOLD)
    if development is not None:
        asked = replace(development, labels=target.labels, shown=target.shown)
        excluded = counter_examples(asked, read(predictor, asked))
        remaining = [
            [c for c in candidates if (text[c.start : c.end].lower(), c.label) not in excluded]
            for text, candidates in zip(target.texts, as_it_is, strict=True)
        ]
        results["counter-examples"] = count(target, remaining, THRESHOLD)
    return {
        "target": target.name,
        "labels": len(target.labels),
        "defined": sum(label in definitions for label in target.labels),
        "counts": {name: _plain(counts) for name, counts in results.items()},
    }


def _plain(sentences: Sequence[SpanCounts]) -> dict[str, list[list[int]]]:
    return {
        "typed": [[c.typed.tp, c.typed.fp, c.typed.fn] for c in sentences],
        "spans": [[c.spans.tp, c.spans.fp, c.spans.fn] for c in sentences],
    }


def targets(data_root: Path) -> Iterator[tuple[Target, Target | None]]:
    """Targets, and development sentences of those that have some to spare."""
    development = {target.name: target for target in held_out_targets(data_root, "dev", SENTENCES)}
    for target in held_out_targets(data_root, "test", SENTENCES):
        yield target, development[target.name]
    for target in benchmark_targets(data_root, SENTENCES):
        if target.name != "crossner-music":  # GoLLIE defines its songs and bands as genres, its awards as instruments
            yield target, None


def main() -> None:
    """Measure every target that has no result yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="config.json, tokenizer.json")
    parser.add_argument("--weights", type=Path, required=True, help="that tools.reader.unpack wrote")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data_root, predictor = corpora_folder(), load_predictor(options.weights, options.encoder)
    for target, development in targets(data_root):
        run_once(
            DEFINITIONS / f"{target.name}.json",
            COMMAND,
            partial(measure, predictor, target, development, data_root),
        )


if __name__ == "__main__":
    main()
