"""Real files: their counts, their traps, and that every format gives back what was read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entsemble.data.formats import read, write
from entsemble.data.windows import split_document
from entsemble.errors import DataError

from .corpora import COUNTS

Corpus = Callable[[str], Path]

pytestmark = pytest.mark.corpora

FILES = [
    pytest.param(path, marks=[pytest.mark.slow] if sentences > 4000 else []) for path, (sentences, _) in COUNTS.items()
]
_SAMPLE = 300


@pytest.mark.filterwarnings("ignore::entsemble.errors.EntsembleWarning")  # of what the format does not store
@pytest.mark.parametrize("path", FILES)
def test_counts_and_round_trip(path: str, tmp_path: Path, corpus: Corpus) -> None:
    documents = list(read(corpus(path)))
    assert (len(documents), sum(len(d.mentions) for d in documents)) == COUNTS[path]
    write(documents, tmp_path / "all.jsonl")
    assert list(read(tmp_path / "all.jsonl")) == documents
    write(documents, tmp_path / "brat", "brat")
    assert {d.id: (d.text, d.mentions) for d in read(tmp_path / "brat")} == {
        d.id: (d.text, d.mentions) for d in documents
    }
    write(documents[:_SAMPLE], tmp_path / "some.conll")
    back = list(read(tmp_path / "some.conll"))
    assert sum(len(d.mentions) for d in back) == sum(len(d.mentions) for d in documents[:_SAMPLE])
    parts = [p for d in documents[:_SAMPLE] for p in split_document(d)]
    assert sum(len(p.mentions) for p in parts) == sum(len(d.mentions) for d in documents[:_SAMPLE])


def test_every_corpus_file_has_expected_counts(corpus: Corpus) -> None:
    place = corpus(".")
    words = ("README", "LICENSE", "NOTE", "hand-damaged", "diverse/")
    files = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}
    assert {f for f in files if not any(w in f for w in words)} <= set(COUNTS)


def test_the_damaged_line_is_named(corpus: Corpus) -> None:
    with pytest.raises(DataError, match=r"hand-damaged\.bio:7: this line has 1 column instead of 2"):
        list(read(corpus("mit-movie/variants/trivia10k13test.hand-damaged.bio")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ncbi-disease/devel.tsv", "ncbi-disease/devel.iobes.tsv"),
        ("mit-movie/engtest.bio", "mit-movie/variants/engtest.token-first-tab.txt"),
    ],
)
def test_variants_of_a_corpus_read_the_same(one: str, other: str, corpus: Corpus) -> None:
    first, second = ([(d.text, d.mentions) for d in read(corpus(path))] for path in (one, other))
    assert first == second


def test_meddocan_parts_and_byte_order_marks(corpus: Corpus) -> None:
    documents = list(read(corpus("es-meddocan-deid/meddocan-brat.tar.gz")))
    parts = [d.id.split("/")[1] for d in documents]
    assert {p: parts.count(p) for p in parts} == {"train": 500, "dev": 250, "test": 250}
    assert sum(d.text.startswith("\ufeff") for d in documents) == 32


def test_presidio_template_ids_are_in_meta(corpus: Corpus) -> None:
    assert all("template_id" in d.meta for d in read(corpus("pii-presidio-synth/synth_dataset_v2.json")))


@pytest.mark.parametrize("path", ["scierc-flat/dev.txt", "wikigold/wikigold.conll.txt"])
def test_documents_are_numbered_from_one(path: str, corpus: Corpus) -> None:
    numbers = [d.meta["document"] for d in read(corpus(path))]
    assert numbers[0] == 1
    assert sorted(set(numbers)) == list(range(1, numbers[-1] + 1))
