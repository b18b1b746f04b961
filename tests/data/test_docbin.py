from __future__ import annotations

import pickle
import warnings
import zlib
from pathlib import Path
from typing import Any

import pytest

from entsemble.data import archives
from entsemble.data.formats import read, write
from entsemble.errors import DataError
from entsemble.types import Document, mention_at

spacy = pytest.importorskip("spacy")
from spacy.tokens import DocBin, SpanGroup  # noqa: E402

TEXT = "Ann  went to Oslo. "


def doc_with(text: str = TEXT) -> Any:
    return spacy.blank("xx")(text)


def save(path: Path, *docs: Any) -> Path:
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


def test_edges_beside_whitespace_and_blank_mentions_are_kept(tmp_path: Path) -> None:
    spans = [(0, 4), (0, 5), (3, 5), (3, 4), (4, 9), (5, 10), (17, 19), (18, 19), (0, 19)]
    for label in ("P", "a\tb", "\x00", " ", "\u2028", "person/Ärztin 100%", "x" * 5000):
        documents = [Document("d", TEXT, tuple(mention_at(TEXT, *span, label) for span in spans))]
        write(documents, tmp_path / "a.spacy")
        assert list(read(tmp_path / "a.spacy")) == documents


def test_an_empty_group_does_not_hide_the_entities(tmp_path: Path) -> None:
    doc = doc_with()
    doc.spans["sc"] = []
    doc.ents = [doc.char_span(13, 17, label="place")]
    assert [m.text for m in next(read(save(tmp_path / "a.spacy", doc))).mentions] == ["Oslo"]


def test_the_only_other_group_is_read(tmp_path: Path) -> None:
    doc = doc_with()
    doc.spans["ruler"] = [doc.char_span(13, 17, label="place")]
    assert [m.text for m in next(read(save(tmp_path / "a.spacy", doc))).mentions] == ["Oslo"]


def test_spans_that_are_not_read_are_announced(tmp_path: Path) -> None:
    doc = doc_with()
    doc.spans["sc"] = [doc.char_span(0, 3, label="person")]
    doc.spans["other"] = [doc.char_span(5, 9, label="verb")]
    doc.ents = [doc.char_span(13, 17, label="place")]
    with pytest.warns(UserWarning, match=r"doc.ents and doc.spans\['other'\] have spans that are not read"):
        (document,) = read(save(tmp_path / "a.spacy", doc))
    assert [m.text for m in document.mentions] == ["Ann"]


def test_damaged_content_is_an_error_of_ours(tmp_path: Path) -> None:
    doc = doc_with()
    doc.spans["sc"] = SpanGroup(doc, name="sc", spans=[doc.char_span(0, 3, label="person")], attrs={"scores": ["high"]})
    with pytest.raises(DataError, match=r"a.spacy: .*could not convert string to float"):
        list(read(save(tmp_path / "a.spacy", doc)))
    doc = doc_with()
    doc.spans["sc"] = [doc[0:1]]
    with pytest.raises(DataError, match=r"a.spacy: the span 'Ann' has no label"):
        list(read(save(tmp_path / "a.spacy", doc)))
    (tmp_path / "a.spacy").write_bytes(pickle.dumps({}))
    with pytest.raises(DataError, match=r"a.spacy: not a valid DocBin"):
        list(read(tmp_path / "a.spacy"))


def test_user_data_of_others_is_not_taken_for_ours(tmp_path: Path) -> None:
    doc = doc_with()
    doc.user_data["entsemble"] = 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [d.id for d in read(save(tmp_path / "a.spacy", doc))] == ["a.spacy:1"]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.spacy").write_bytes(zlib.compress(bytes(archives.UNSUSPICIOUS_BYTES + 1), 9))
    with pytest.raises(DataError, match=r"a\.spacy: unpacks to more than 500 times its size"):
        list(read(tmp_path / "a.spacy"))
