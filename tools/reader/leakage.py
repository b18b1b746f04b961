"""Which training sentences a benchmark scores, in whole or in part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.reader.corpora import load_sources, read_columns, read_source

RUN_LENGTH = 10  # words in a row that give a sentence away
_WORD = re.compile(r"[^\W_]+")
_HELD_FILES = (  # every file of the corpora that are measured on, and the development and test files of the others
    "crossner/*/*.txt",
    "mit-movie/*.bio",
    "mit-restaurant/*.bio",
    "conll2003-4col/*.txt",
    "wnut17/emerging.dev.conll",
    "genia/genia.dev.iob2",
    "bc5cdr/devel.tsv",
    "bc5cdr/test.tsv",
    "ncbi-disease/devel.tsv",
    "bionlp13cg/devel.tsv",
    "bionlp13cg/test.tsv",
    "scierc-flat/*.txt",
    "sec-filings/FIN3.txt",
    "re3d/*.conll",
    "btc/a.conll",
    "btc/h.conll",
)


def normalised_words(sentence: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(sentence.lower())


def word_runs(word_list: list[str]) -> Iterator[str]:
    """Every run of `RUN_LENGTH` words."""
    return (
        " ".join(word_list[run_start : run_start + RUN_LENGTH]) for run_start in range(len(word_list) - RUN_LENGTH + 1)
    )


@dataclass
class ScoredTexts:
    """Texts and word runs that training must not meet."""

    texts: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)

    def add(self, sentences: Iterable[str], *, with_runs: bool = True) -> None:
        """Remember texts; without runs only a sentence that is equal counts as a leak."""
        for sentence in sentences:
            word_list = normalised_words(sentence)
            if len(word_list) > 2:  # "yes please" is in every corpus of dialogues
                self.texts.add(" ".join(word_list))
            if with_runs:
                self.runs.update(word_runs(word_list))

    def leaks(self, sentence: str) -> bool:
        """Whether a sentence shares its text or a run of words with a scored one."""
        word_list = normalised_words(sentence)
        return " ".join(word_list) in self.texts or any(word_run in self.runs for word_run in word_runs(word_list))


def scored_texts(data_root: Path) -> ScoredTexts:
    """All that the benchmarks score, and the development and test rows of the training corpora (equal text only)."""
    scored_index = ScoredTexts()
    for file_pattern in _HELD_FILES:
        for scored_file in sorted(data_root.glob(file_pattern)):
            scored_index.add(sentence for sentence, _ in read_columns(scored_file))
    for corpus_source in load_sources():
        documents = read_source(corpus_source, data_root)
        if corpus_source.held_out:
            scored_index.add(document.text for document in documents)
        else:
            scored_index.add((document.text for document in documents if document.split != "train"), with_runs=False)
    return scored_index
