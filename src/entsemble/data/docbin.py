"""spaCy's DocBin (`.spacy`), the training format of `spacy train`.

`doc.spans["sc"]`, spaCy's usual group, has all mentions, and their scores in its `attrs`; `doc.ents`, which cannot hold
nested mentions, has the longest. Tokens are split where a mention starts or ends inside them, so offsets are exact.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from entsemble._lib.optional import require
from entsemble.data.options import ReadOptions
from entsemble.errors import DataError
from entsemble.types import Document, Mention

SPANS_KEY = "sc"
_USER_DATA_KEY = "entsemble"


def read(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:  # noqa: ARG001
    """The documents of a DocBin; one without an id is called `<name>:<number>`, from 1.

    Raises:
        DataError: it is not a DocBin.
        MissingExtraError: spaCy is not installed.
    """
    spacy = _import_spacy()
    from spacy.tokens import DocBin

    try:
        doc_bin = DocBin().from_disk(path)
    except Exception as error:  # msgpack and zlib have error classes of their own
        raise DataError(f"not a valid DocBin of spaCy: {error}", path) from error
    for number, doc in enumerate(doc_bin.get_docs(spacy.blank("xx").vocab), 1):
        data = doc.user_data.get(_USER_DATA_KEY) or {}
        document_id = str(data.get("id", f"{name}:{number}"))
        yield Document(document_id, doc.text, read_mentions(doc), (), data.get("meta") or {})


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as a DocBin, which is held in memory.

    Raises:
        MissingExtraError: spaCy is not installed.
    """
    pipeline = _import_spacy().blank("xx")
    pipeline.max_length = sys.maxsize  # the limit is for parsers, whose memory grows with the text
    from spacy.tokens import DocBin

    doc_bin = DocBin(store_user_data=True)
    for document in documents:
        doc = pipeline.make_doc(document.text)
        _split_tokens(doc, {edge for mention in document.mentions for edge in (mention.start, mention.end)})
        add_mentions(doc, document.mentions)
        doc.user_data[_USER_DATA_KEY] = {"id": document.id, "meta": dict(document.meta)}
        doc_bin.add(doc)
    doc_bin.to_disk(path)


def add_mentions(doc: Any, mentions: Sequence[Mention], key: str = SPANS_KEY) -> None:  # noqa: ANN401 - a spaCy Doc
    """Add mentions to a Doc: all to a span group, the longest that do not overlap to its entities.

    A mention that starts or ends inside a token is extended to the token's edges.
    """
    from spacy.util import filter_spans

    spans = [
        doc.char_span(mention.start, mention.end, label=mention.label, alignment_mode="expand") for mention in mentions
    ]
    doc.spans[key] = spans
    doc.spans[key].attrs["scores"] = [mention.score for mention in mentions]
    doc.set_ents(filter_spans(spans))


def read_mentions(doc: Any) -> tuple[Mention, ...]:  # noqa: ANN401 - a spaCy Doc
    """The mentions of a Doc: those of its span group, or its entities if it has no such group."""
    group = doc.spans.get(SPANS_KEY)
    spans = doc.ents if group is None else group
    group_scores = [] if group is None else group.attrs.get("scores", [])  # a list of ours, an array of spaCy's
    scores: list[float | None] = [None] * len(spans)
    if len(group_scores) == len(spans):
        scores = [None if score is None else float(score) for score in group_scores]
    return tuple(
        Mention(span.start_char, span.end_char, span.label_, span.text, score)
        for span, score in zip(spans, scores, strict=True)
    )


def _split_tokens(doc: Any, edges: set[int]) -> None:  # noqa: ANN401 - a spaCy Doc
    """Split tokens at those of `edges` that are inside them."""
    with doc.retokenize() as retokenizer:
        for token in doc:
            inner_edges = sorted(edge - token.idx for edge in edges if token.idx < edge < token.idx + len(token))
            if inner_edges:
                boundaries = [0, *inner_edges, len(token)]
                parts = [token.text[start:end] for start, end in pairwise(boundaries)]
                retokenizer.split(token, parts, heads=[(token, index) for index in range(len(parts))])


def _import_spacy() -> Any:  # noqa: ANN401 - untyped library
    return require("spacy", extra="spacy", purpose="DocBin")
