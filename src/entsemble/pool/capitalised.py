"""What looks like a name: words with capitals, side by side.

Small models miss names that anybody would see. Where it was learnt what such a look is worth, runs of words with
capitals are candidates too, which the members type; it depends on the texts whether most of them are names, so that a
vote that is only counted would believe too many. Most names are such runs in some texts (news, tweets), few in others
(papers on genes), and none in scripts without capitals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from entsemble._lib.text import one_line
from entsemble.types import Document

NAME = "looks"
"""How the ledger calls who proposed such a run."""

_WORD = re.compile(r"\w(?:[\w.'\u2019&/-]*\w)?")


def runs(text: str) -> tuple[str, ...]:
    """The longest runs of words with a capital that only blanks part, in text order, each surface once.

    >>> runs("In Oslo, Mary-Ann Berg saw the F-16 of NATO")
    ('In Oslo', 'Mary-Ann Berg', 'F-16', 'NATO')
    """
    line = one_line(text)
    found: list[tuple[int, int]] = []
    for word in _WORD.finditer(line):
        if not any(c.isupper() for c in word[0]):
            continue
        if found and not line[found[-1][1] : word.start()].strip():
            found[-1] = found[-1][0], word.end()
        else:
            found.append(word.span())
    return tuple(dict.fromkeys(line[start:end] for start, end in found))


def usual(documents: Iterable[Document]) -> bool:
    """Whether most of the mentions of annotated texts are such runs, and whole ones."""
    looking = [m.text in found for d in documents for found in [frozenset(runs(d.text))] for m in d.mentions]
    return sum(looking) * 2 > len(looking)
