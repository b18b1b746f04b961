"""spaCy's DocBin (`.spacy`), the training format of `spacy train`.

`doc.spans["sc"]`, spaCy's usual group, has all mentions, and their scores in its `attrs`; `doc.ents`, which cannot hold
nested or blank mentions, has the longest. Tokens are split where a mention starts or ends inside them or beside a
space, so offsets are exact.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from entsemble._lib.cancellation import check_cancelled, until_cancelled
from entsemble._lib.optional import require
from entsemble.data.archives import MAX_RATIO, UNSUSPICIOUS_BYTES
from entsemble.data.json_values import check_scores, check_surrogates, parse_json, score_value, write_json
from entsemble.data.options import ReadOptions
from entsemble.errors import DataError, warn
from entsemble.types import Document, Mention

SPANS_KEY = "sc"
_USER_DATA_KEY = "entsemble"


def read(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:  # noqa: ARG001
    """The documents of a DocBin; one without an id is called `<name>:<number>`, from 1.

    Raises:
        DataError: it is not a DocBin.
        MissingExtraError: spaCy is not installed.
    """
    vocab = _import_spacy().blank("xx").vocab
    from spacy.tokens import DocBin

    try:
        _check_size(path)
        docs = DocBin().from_disk(path).get_docs(vocab)
        is_warned = False
        for number, doc in enumerate(docs, 1):
            document = _document(doc, f"{name}:{number}")
            is_warned = is_warned or _warn_of_unread(doc, document, path)
            yield document
    except DataError as error:
        raise DataError(error.problem, path) from error
    except Exception as error:  # msgpack, zlib and spaCy have error classes of their own
        raise DataError(
            f"not a valid DocBin of spaCy: {error or type(error).__name__}; is it complete?", path
        ) from error


def _check_size(path: Path) -> None:
    """Raise DataError if a DocBin, which is compressed, unpacks to more than annotated texts do."""
    unpacked_bytes, max_bytes = 0, max(UNSUSPICIOUS_BYTES, path.stat().st_size * MAX_RATIO)
    decompressor = zlib.decompressobj()
    with path.open("rb") as file:
        while packed := decompressor.unconsumed_tail or file.read(1 << 16):
            unpacked_bytes += len(decompressor.decompress(packed, 1 << 20))
            if unpacked_bytes > max_bytes:
                raise DataError(f"unpacks to more than {MAX_RATIO} times its size; is it what it should be?", path)


def _document(doc: Any, default_id: str) -> Document:  # noqa: ANN401 - a spaCy Doc
    data = doc.user_data.get(_USER_DATA_KEY)
    data = data if isinstance(data, dict) else {}
    meta = data.get("meta") or {}
    if isinstance(meta, str):
        meta = parse_json(meta)
    document_id = str(data.get("id", default_id))
    check_surrogates(document_id + doc.text + write_json(meta, document_id), f"document {document_id!r}")
    return Document(document_id, doc.text, read_mentions(doc), (), meta)


def _warn_of_unread(doc: Any, document: Document, path: Path) -> bool:  # noqa: ANN401 - a spaCy Doc
    """Warn if a Doc has entities or groups that are not among the mentions; returns whether it did."""
    ranges = {(mention.start, mention.end) for mention in document.mentions}
    groups = {"ents": doc.ents, **{f"spans[{key!r}]": group for key, group in doc.spans.items()}}
    unread = [key for key, spans in groups.items() if any((s.start_char, s.end_char) not in ranges for s in spans)]
    if unread:
        message = f"{path}: of {document.id!r}, doc.{' and doc.'.join(unread)} have spans that are not read"
        warn(f"{message}; only doc.spans[{SPANS_KEY!r}] is, or doc.ents if that is empty")
    return bool(unread)


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as a DocBin, which is held in memory.

    Raises:
        DataError: a document's meta cannot be written as JSON.
        MissingExtraError: spaCy is not installed.
    """
    pipeline = _import_spacy().blank("xx")
    pipeline.max_length = sys.maxsize  # the limit is for parsers, whose memory grows with the text
    from spacy.tokens import Doc, DocBin

    doc_bin = DocBin(store_user_data=True)
    for document in documents:
        check_scores(document)
        words, spaces = _split_tokens(pipeline.make_doc(document.text), document.mentions)
        doc = Doc(pipeline.vocab, words=words, spaces=spaces)
        if doc.text != document.text:
            raise DataError(f"document {document.id!r} cannot be written for spaCy, which would change its text")
        add_mentions(doc, document.mentions)
        check_cancelled()
        meta = write_json(dict(document.meta), document.id)
        doc.user_data[_USER_DATA_KEY] = {"id": document.id, "meta": meta}
        doc_bin.add(doc)
    check_cancelled()
    doc_bin.to_disk(path)


def add_mentions(doc: Any, mentions: Sequence[Mention], key: str = SPANS_KEY) -> None:  # noqa: ANN401 - a spaCy Doc
    """Add mentions to a Doc: all to a span group, the longest that do not overlap to its entities.

    A mention that starts or ends inside a token is extended to the token's edges.
    """
    from spacy.util import filter_spans

    spans = [
        doc.char_span(mention.start, mention.end, label=mention.label, alignment_mode="expand")
        for mention in until_cancelled(mentions)
    ]
    doc.spans[key] = spans
    doc.spans[key].attrs["scores"] = [mention.score for mention in mentions]
    doc.set_ents(filter_spans([span for span in spans if not span.text.isspace()]))


def read_mentions(doc: Any) -> tuple[Mention, ...]:  # noqa: ANN401 - a spaCy Doc
    """The mentions of a Doc: those of its span group, or else its entities, or else those of its only other group.

    Raises:
        DataError: a span has no label, or its score is not a number between 0 and 1.
    """
    group = doc.spans.get(SPANS_KEY) or ()
    if not group and not doc.ents:
        other_groups = [other for other in doc.spans.values() if other]
        group = other_groups[0] if len(other_groups) == 1 else ()
    spans = group or doc.ents
    group_scores = group.attrs.get("scores", []) if group else []  # a list of ours, an array of spaCy's
    scores: list[object] = [None] * len(spans)
    if len(group_scores) == len(spans):
        scores = [None if score is None else float(score) for score in group_scores]
    mentions = []
    for span, score in zip(spans, scores, strict=True):
        if not span.label_:
            raise DataError(f"the span {span.text!r} has no label; give it one")
        confidence = score_value(score, repr(span.text))
        mentions.append(Mention(span.start_char, span.end_char, span.label_, span.text, confidence))
    return tuple(mentions)


def _split_tokens(doc: Any, mentions: Sequence[Mention]) -> tuple[list[str], list[bool]]:  # noqa: ANN401 - a spaCy Doc
    """The tokens of a Doc, split at the edges of mentions, and whether a space follows each.

    The space after a token becomes a token of its own if a mention begins or ends with it.
    """
    edges = sorted({edge for mention in mentions for edge in (mention.start, mention.end)})
    starts, ends = {mention.start for mention in mentions}, {mention.end for mention in mentions}
    words: list[str] = []
    spaces: list[bool] = []
    text, position = doc.text, 0
    for token in until_cancelled(doc):
        first, end = token.idx, token.idx + len(token)
        boundaries = [first]
        while position < len(edges) and edges[position] < end:
            if edges[position] > first:
                boundaries.append(edges[position])
            position += 1
        words += [text[start:stop] for start, stop in pairwise([*boundaries, end])]
        spaces += [False] * len(boundaries)
        if token.whitespace_ and (end in starts or end + 1 in ends):
            words.append(" ")
            spaces.append(False)
        elif token.whitespace_:
            spaces[-1] = True
    return words, spaces


def _import_spacy() -> Any:  # noqa: ANN401 - untyped library
    return require("spacy", extra="spacy", purpose="DocBin")
