"""The corpora of the quality benchmarks, in the order of their tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Corpus:
    """The files of a corpus, within the folder of the corpora.

    Attributes:
        name: of the corpus.
        train: the pool.
        dev: the scored sentences.
        language: if it is not English.
        test: the test file, if it is used; `benchmarks.sam` scores those of CrossNER too.
    """

    name: str
    train: str
    dev: str
    language: str | None = None
    test: str = ""


CORPORA = (
    Corpus("conll2003", "conll2003-4col/train.txt", "conll2003-4col/valid.txt"),
    Corpus("wnut17", "wnut17/wnut17train.conll", "wnut17/emerging.dev.conll"),
    *(
        Corpus(
            f"crossner-{domain}",
            f"crossner/{domain}/train.txt",
            f"crossner/{domain}/dev.txt",
            test=f"crossner/{domain}/test.txt",
        )
        for domain in ("ai", "literature", "music", "politics", "science")
    ),
    Corpus("genia", "genia/genia.train.reconstructed.iob2", "genia/genia.dev.iob2"),
    Corpus("bc5cdr", "bc5cdr/train.tsv", "bc5cdr/devel.tsv", test="bc5cdr/test.tsv"),
    Corpus("zh-weibo", "zh-weibo/weiboNER_2nd_conll.train", "zh-weibo/weiboNER_2nd_conll.dev", "Chinese"),
    Corpus("masakhaner-swa", "masakhaner1/swa/train.txt", "masakhaner1/swa/dev.txt", "Swahili"),
    Corpus("masakhaner-yor", "masakhaner1/yor/train.txt", "masakhaner1/yor/dev.txt", "Yoruba"),
    Corpus("uner-danish", "uner-danish/da_ddt-ud-train.iob2", "uner-danish/da_ddt-ud-dev.iob2", "Danish"),
)

CROSSNER = tuple(corpus.name for corpus in CORPORA if corpus.name.startswith("crossner-"))

LARGE_CORPORA = tuple(corpus.name for corpus in CORPORA if corpus.language is None and corpus.name not in CROSSNER)
"""English corpora with thousands of training sentences."""


def corpus_named(name: str) -> Corpus:
    """The corpus with this name; KeyError if there is none."""
    return {corpus.name: corpus for corpus in CORPORA}[name]
