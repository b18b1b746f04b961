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


def normalised_words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def word_runs(words: list[str]) -> Iterator[str]:
    """Every run of `RUN_LENGTH` words."""
    return (" ".join(words[start : start + RUN_LENGTH]) for start in range(len(words) - RUN_LENGTH + 1))


@dataclass
class ScoredTexts:
    """Texts and word runs that training must not meet."""

    texts: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)

    def add(self, texts: Iterable[str], *, with_runs: bool = True) -> None:
        """Remember texts; without runs only a sentence that is equal counts as a leak."""
        for text in texts:
            words = normalised_words(text)
            if len(words) > 2:  # "yes please" is in every corpus of dialogues
                self.texts.add(" ".join(words))
            if with_runs:
                self.runs.update(word_runs(words))

    def leaks(self, text: str) -> bool:
        """Whether a sentence shares its text or a run of words with a scored one."""
        words = normalised_words(text)
        return " ".join(words) in self.texts or any(run in self.runs for run in word_runs(words))


def scored_texts(data: Path) -> ScoredTexts:
    """All that the benchmarks score, and the development and test rows of the training corpora (equal text only)."""
    scored = ScoredTexts()
    for pattern in _HELD_FILES:
        for file in sorted(data.glob(pattern)):
            scored.add(text for text, _ in read_columns(file))
    for source in load_sources():
        documents = read_source(source, data)
        if source.held_out:
            scored.add(document.text for document in documents)
        else:
            scored.add((row.text for row in documents if row.split != "train"), with_runs=False)
    return scored
