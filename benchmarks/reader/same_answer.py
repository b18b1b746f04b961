"""Measures `same_answer`: does one label for a name, wherever it occurs in a document, help?

    python -m benchmarks.reader.same_answer --corpora FOLDER [--documents N]

The label reader alone, without examples, annotates whole documents of corpora that mark where one begins; the mentions
are scored as they are and after `unify_answers`, which is all that the option adds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

import entsemble
from benchmarks.common import source_revision
from benchmarks.pages import Table
from entsemble.data.formats import read
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.matching import exact_counts
from entsemble.ner.same_answer import unify_answers
from entsemble.types import Document

RESULT = Path(__file__).parent / "results" / "same-answer.json"
FILES = {
    "conll2003": "conll2003-4col/valid.txt",
    "wikigold": "wikigold/wikigold.conll.txt",
}
LABELS = {"PER": "", "LOC": "", "ORG": ""}


@click.command()
@click.option("--corpora", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--documents", "document_count", default=40, show_default=True)
def main(corpora: Path, document_count: int) -> None:
    """Measure every corpus, and write the result."""
    results: dict[str, object] = {"revision": source_revision()}
    with entsemble.load(LABELS) as ensemble:
        for name, file in FILES.items():
            gold = list(islice(whole_documents(corpora / file), document_count))
            found = list(ensemble.extract_many(gold))
            rows = [
                [_counts(expected, predicted), _counts(expected, unify_answers(predicted))]
                for expected, predicted in zip(gold, found, strict=True)
            ]
            results[name] = [[[counts.tp, counts.fp, counts.fn] for counts in row] for row in rows]
            click.echo(f"{name}: {sum((row[0] for row in rows), Counts())} {sum((row[1] for row in rows), Counts())}")
    RESULT.write_text(json.dumps(results) + "\n", encoding="utf-8")


def whole_documents(file: Path) -> Iterator[Document]:
    """The documents of a CoNLL file, as its `-DOCSTART-` lines divide it, with the mentions of the labels."""
    blocks = file.read_text(encoding="utf-8").split("-DOCSTART-")[1:]
    lengths = [sum(1 for part in block.partition("\n")[2].split("\n\n") if part.strip()) for block in blocks]
    sentences = read(file)
    for number, length in enumerate(lengths, 1):
        text, mentions = "", []
        for sentence in islice(sentences, length):
            mentions += [mention.shifted(len(text)) for mention in sentence.mentions if mention.label in LABELS]
            text += sentence.text + "\n"
        if mentions:
            yield Document(str(number), text, tuple(mentions))


def _counts(expected: Document, predicted: Document) -> Counts:
    return exact_counts(expected.mentions, predicted.mentions).micro


def table() -> Table | None:
    """A row for each corpus."""
    if not RESULT.exists():
        return None
    results = json.loads(RESULT.read_text(encoding="utf-8"))
    rows = [
        ["corpus", "documents", "F1", "95 % interval", "with `same_answer`", "difference", "95 % interval", "p"],
        ["---"] * 8,
    ]
    for name in FILES:
        before, after = ([Counts(*row[index]) for row in results[name]] for index in (0, 1))
        comparison = compare_f1(after, before)
        low, high = f1_interval(before)
        row = [name, str(len(before)), f"{sum(before, Counts()).f1:.3f}", f"{low:.3f} to {high:.3f}"]
        row += [f"{sum(after, Counts()).f1:.3f}", f"{comparison.difference:+.3f}"]
        row += [f"{comparison.ci95[0]:+.3f} to {comparison.ci95[1]:+.3f}", f"{comparison.p_value:.3f}"]
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
