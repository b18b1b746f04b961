"""Capitalised spans: runs of words with capitals.

Small models miss names that are obvious from their capitals. In some texts (news, tweets) most names are such runs, in
others (papers on genes) few, and in scripts without capitals none. So they are proposed only where a learned scorer
weighs that evidence: a plain vote would accept too many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from entsemble._lib.text import one_line
from entsemble.types import Document
from entsemble.voting.candidates import Candidate, Proposer, add_proposals

_WORD = re.compile(r"\w(?:[\w.'\u2019&/-]*\w)?")


class CapitalisedProposer(Proposer):
    """Proposes the capitalised spans of a text."""

    name = "capitalised"

    def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """See `Proposer.propose`."""
        return add_proposals(text, candidates, capitalised_spans(text), self.name)


def capitalised_spans(text: str) -> tuple[str, ...]:
    """The longest runs of words with a capital that only whitespace separates, in text order, each surface once.

    >>> capitalised_spans("In Oslo, Mary-Ann Berg saw the F-16 of NATO")
    ('In Oslo', 'Mary-Ann Berg', 'F-16', 'NATO')
    """
    line = one_line(text)
    word_runs: list[tuple[int, int]] = []
    for word in _WORD.finditer(line):
        if not any(character.isupper() for character in word[0]):
            continue
        if word_runs and not line[word_runs[-1][1] : word.start()].strip():
            word_runs[-1] = word_runs[-1][0], word.end()
        else:
            word_runs.append(word.span())
    return tuple(dict.fromkeys(line[start:end] for start, end in word_runs))


def are_mostly_capitalised(documents: Iterable[Document]) -> bool:
    """Whether more than half of the mentions of annotated texts are capitalised spans."""
    is_capitalised = []
    for document in documents:
        surfaces = frozenset(capitalised_spans(document.text))
        is_capitalised += [mention.text in surfaces for mention in document.mentions]
    return sum(is_capitalised) * 2 > len(is_capitalised)
