"""spaCy's DocBin (`.spacy`), what `spacy train` reads.

All mentions are in `doc.spans["sc"]`, spaCy's usual group, with their scores in its `attrs`; `doc.ents`, which holds no
nested ones, has the longest. A token that a mention begins or ends in is split there, so that every offset is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from entsemble.data.options import ReadOptions
from entsemble.errors import DataError, MissingExtraError
from entsemble.types import Document, Mention

SPANS_KEY = "sc"
_OURS = "entsemble"


def read(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:  # noqa: ARG001
    """The documents of a DocBin; one without an id is called `<name>:<number>`, from 1.

    Raises:
        DataError: it is no DocBin.
        MissingExtraError: spaCy is not installed.
    """
    spacy = _spacy()
    from spacy.tokens import DocBin

    try:
        docs = DocBin().from_disk(path)
    except Exception as error:  # msgpack and zlib each have errors of their own
        raise DataError(f"no DocBin of spaCy: {error}", path) from error
    for number, doc in enumerate(docs.get_docs(spacy.blank("xx").vocab), 1):
        told = doc.user_data.get(_OURS) or {}
        yield Document(
            str(told.get("id", f"{name}:{number}")), doc.text, read_mentions(doc), (), told.get("meta") or {}
        )


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as a DocBin; it is held in memory.

    Raises:
        MissingExtraError: spaCy is not installed.
    """
    blank = _spacy().blank("xx")
    blank.max_length = sys.maxsize  # it is for parsers, which need memory for each token
    from spacy.tokens import DocBin

    made = DocBin(store_user_data=True)
    for document in documents:
        doc = blank.make_doc(document.text)
        _split(doc, {edge for m in document.mentions for edge in (m.start, m.end)})
        add_mentions(doc, document.mentions)
        doc.user_data[_OURS] = {"id": document.id, "meta": dict(document.meta)}
        made.add(doc)
    made.to_disk(path)


def add_mentions(doc: Any, mentions: Sequence[Mention], key: str = SPANS_KEY) -> None:  # noqa: ANN401 - a Doc of spaCy
    """Put mentions into a Doc: all into a group of spans, the longest that do not overlap into its entities.

    One that begins or ends within a token is taken to the token's edges.
    """
    from spacy.util import filter_spans

    spans = [doc.char_span(m.start, m.end, label=m.label, alignment_mode="expand") for m in mentions]
    doc.spans[key] = spans
    doc.spans[key].attrs["scores"] = [m.score for m in mentions]
    doc.set_ents(filter_spans(spans))


def read_mentions(doc: Any) -> tuple[Mention, ...]:  # noqa: ANN401 - a Doc of spaCy
    """The mentions in a Doc: its group of spans, or its entities where it has none."""
    group = doc.spans.get(SPANS_KEY)
    spans = doc.ents if group is None else group
    told = [] if group is None else group.attrs.get("scores", [])  # a list of ours, an array of spaCy's
    known = len(told) == len(spans)
    scores = [None if score is None else float(score) for score in told] if known else [None] * len(spans)
    return tuple(
        Mention(s.start_char, s.end_char, s.label_, s.text, score) for s, score in zip(spans, scores, strict=True)
    )


def _split(doc: Any, edges: set[int]) -> None:  # noqa: ANN401 - a Doc of spaCy
    """Cut tokens where a mention begins or ends in one."""
    with doc.retokenize() as retokenizer:
        for token in doc:
            inside = sorted(e - token.idx for e in edges if token.idx < e < token.idx + len(token))
            if inside:
                cuts = [0, *inside, len(token)]
                parts = [token.text[a:b] for a, b in pairwise(cuts)]
                retokenizer.split(token, parts, heads=[(token, i) for i in range(len(parts))])


def _spacy() -> Any:  # noqa: ANN401 - untyped library
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError("spacy", "spacy", "DocBin") from error
    return spacy
