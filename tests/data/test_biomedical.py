"""BioC and PubTator: what offsets count, what is kept beside the mentions, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read, write
from entsemble.data.options import ReadOptions
from entsemble.errors import DataError, EntsembleWarning
from entsemble.types import Document, Mention, mention_at

TITLE, ABSTRACT = "α 😀 Ada left.", "Bob met 😀 Eve."


def annotation(start: int, surface: str | None, length: int, label: str = "P", **infons: str) -> dict[str, Any]:
    locations = [{"offset": start, "length": length}]
    text = {} if surface is None else {"text": surface}
    return {"id": "1", "infons": {"type": label, **infons}, "locations": locations, **text}


def passage(offset: int, text: str, *annotations: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {"offset": offset, "infons": {}, "text": text, "annotations": [*annotations], **other}


def read_json(folder: Path, *passages: dict[str, Any], options: ReadOptions | None = None, **other: Any) -> Document:
    documents = [{"id": "d", "infons": {}, "passages": [*passages], **other}]
    (folder / "x.json").write_text(json.dumps({"source": "s", "documents": documents}))
    (document,) = read(folder / "x.json", options=options)
    return document


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(mention.text, mention.label) for mention in document.mentions]


def size(text: str, unit: str) -> int:
    return {"points": len(text), "utf-16": len(text.encode("utf-16-le")) // 2, "bytes": len(text.encode())}[unit]


@pytest.mark.parametrize("unit", ["points", "utf-16", "bytes"])
@pytest.mark.parametrize("is_relative", [False, True])
def test_offsets_count_code_points_units_or_bytes_from_the_document_or_the_passage(
    tmp_path: Path, unit: str, is_relative: bool
) -> None:
    abstract_offset = size(TITLE, unit) + 1
    base = 0 if is_relative else abstract_offset
    document = read_json(
        tmp_path,
        passage(0, TITLE, annotation(size("α 😀 ", unit), "Ada", 3)),
        passage(abstract_offset, ABSTRACT, annotation(base + size("Bob met 😀 ", unit), "Eve", 3)),
    )
    assert mentions(document) == [("Ada", "P"), ("Eve", "P")]
    assert document.text.replace("\n", " ").split() == f"{TITLE} {ABSTRACT}".split()


def test_the_surface_may_be_written_in_ascii_as_pubtator_does(tmp_path: Path) -> None:
    text = "TNF-α and SARS‐CoV‐2 and β-thalassemia"
    places = [(0, "TNF-a", 5), (10, "SARS CoV 2", 10), (25, "beta-thalassemia", 13)]
    document = read_json(tmp_path, passage(0, text, *(annotation(*place) for place in places)))
    assert [mention.text for mention in document.mentions] == ["TNF-α", "SARS‐CoV‐2", "β-thalassemia"]


@pytest.mark.parametrize(
    ("text", "surface"),
    [("TNF-α", "IL-2a"), ("αβγ", "abc"), ("Ada", "Eve"), ("東京 1", "Kyoto 1"), ("Aα", "αA")],
)
def test_another_surface_is_an_error(tmp_path: Path, text: str, surface: str) -> None:
    with pytest.raises(DataError, match=rf"x.json:1: .*the annotation '{surface}' is not at \[0, .*the text has"):
        read_json(tmp_path, passage(0, text, annotation(0, surface, len(text))))


def test_sentences_and_annotations_of_documents_are_read(tmp_path: Path) -> None:
    sentences = [passage(0, "Ada left.", annotation(0, "Ada", 3)), passage(10, "Bob met Eve.")]
    document = read_json(tmp_path, {"offset": 0, "sentences": sentences}, annotations=[annotation(18, "Eve", 3, "Q")])
    assert document.text == "Ada left. Bob met Eve."
    assert mentions(document) == [("Ada", "P"), ("Eve", "Q")]


def test_passages_are_never_glued_together(tmp_path: Path) -> None:
    assert read_json(tmp_path, passage(0, "Ada"), passage(0, "left"), passage(99, "home")).text == "Ada\nleft\nhome"
    assert read_json(tmp_path, passage(0, "Ada\n"), passage(4, "left"), passage(10, "home")).text == "Ada\nleft\n\nhome"


def test_what_is_known_besides_is_kept(tmp_path: Path) -> None:
    document = read_json(
        tmp_path,
        passage(0, "Ada met Bob.", annotation(0, "Ada", 3, identifier="Q7", score="0.5"), infons={"type": "title"}),
        annotations=[{"infons": {"type": "MeSH"}, "text": "People", "locations": []}],
        relations=[{"id": "R1", "nodes": [{"refid": "1"}]}],
        infons={"year": "2020"},
    )
    assert document.mentions == (Mention(0, 3, "P", "Ada", 0.5),)
    assert document.meta == {
        "year": "2020",
        "annotations": [{"infons": {"type": "MeSH"}, "text": "People", "locations": []}],
        "relations": [{"id": "R1", "nodes": [{"refid": "1"}]}],
        "passages": [{"start": 0, "infons": {"type": "title"}}],
        "infons": [{"start": 0, "end": 3, "label": "P", "id": "1", "infons": {"identifier": "Q7"}}],
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (passage(0, "", annotation(0, "Ada", 3)), "their passage has no text; take the file with the texts"),
        (passage(0, "Ada", annotation(0, "Ada", 3) | {"infons": {"x": "P"}}), "no infon `type`, .*; it has: x"),
        (passage(0, "Ada", annotation(0, None, 4)), r"without text at \[0, 4\) is not in a passage of 3 characters"),
        (passage(0, "Ada", {**annotation(0, "A", 1), "locations": [{"offset": "0"}]}), "a location has an offset"),
        (passage("0", "Ada"), "the `offset` of a passage must be an integer"),  # type: ignore[arg-type]
        ({"text": 7}, "the `text` of a passage must be a string"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, value: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"x.json:1: .*{message}"):
        read_json(tmp_path, value)


def test_pieces_of_an_annotation_are_one_range_if_that_is_wanted(tmp_path: Path) -> None:
    apart = annotation(0, "breast cancer", 6)
    apart["locations"].append({"offset": 19, "length": 6})
    text = passage(0, "breast and ovarian cancer", apart)
    with pytest.raises(DataError, match=r"'breast cancer' has 2 pieces, .* discontinuous='hull'"):
        read_json(tmp_path, text)
    document = read_json(tmp_path, text, options=ReadOptions(discontinuous="hull"))
    assert mentions(document) == [("breast and ovarian cancer", "P")]


def test_bigbio_is_read(tmp_path: Path) -> None:
    record = {
        "id": "0",
        "passages": [{"id": "1", "type": "title", "text": ["Ada left."], "offsets": [[0, 9]]}],
        "entities": [{"id": "2", "type": "P", "text": ["Ada"], "offsets": [[0, 3]], "normalized": [{"db_id": "Q7"}]}],
        "events": [],
    }
    (tmp_path / "x.jsonl").write_text(json.dumps(record))
    (document,) = read(tmp_path / "x.jsonl")
    assert (document.id, document.mentions) == ("0", (mention_at("Ada left.", 0, 3, "P"),))
    assert document.meta["infons"] == [
        {"start": 0, "end": 3, "label": "P", "infons": {"normalized": [{"db_id": "Q7"}]}}
    ]


@pytest.mark.parametrize("format_name", ["bioc", "bioc-json", "pubtator"])
def test_ids_of_concepts_are_written_again(tmp_path: Path, format_name: str) -> None:
    infons = [{"start": 4, "end": 8, "label": "P", "infons": {"identifier": "MESH:D1"}}]
    document = Document("7", "Ann,\nEve.", (mention_at("Ann,\nEve.", 4, 8, "P"),), meta={"infons": infons})
    write([document], tmp_path / "x", format_name)
    assert [(back.text, back.meta) for back in read(tmp_path / "x")] == [(document.text, document.meta)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<collection><document><id>7</collection>", "x.xml:1: not valid XML: mismatched tag"),
        ("<collection>\n<document><passage><offset>x</offset></passage></document></collection>", "x.xml:2: .*integer"),
        ("<other/>", "outermost element must be collection, not other"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><collection/>', "x.xml:1: it defines the entity &b;"),
        ('<!DOCTYPE a SYSTEM "a.dtd"><collection><document><id>&b;</id></document></collection>', "entity &b; is def"),
        ("<collection>" + "<a>" * 300, "more than 200 elements are inside one another"),
    ],
)
def test_damaged_xml_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.xml").write_text(content)
    with pytest.raises(DataError, match=message):
        list(read(tmp_path / "x.xml", "bioc"))


def test_xml_is_read_as_utf_8_whatever_it_declares(tmp_path: Path) -> None:
    body = (
        "<collection><document><id>7</id><passage><offset>0</offset><text>Åsa</text></passage></document></collection>"
    )
    (tmp_path / "x.xml").write_bytes(f'<?xml version="1.0" encoding="ISO-8859-1"?>{body}'.encode())
    assert [document.text for document in read(tmp_path / "x.xml")] == ["Åsa"]
    (tmp_path / "x.xml").write_bytes(f'<?xml version="1.0" encoding="ISO-8859-1"?>{body}'.encode("latin-1"))
    with pytest.raises(DataError, match=r"not UTF-8: .* iconv"):
        list(read(tmp_path / "x.xml"))


def test_pubtator_is_read(tmp_path: Path) -> None:
    lines = [
        "1|t|Ada left|or not.",
        "1|a|Bob met Eve.",
        "1\t17\t20\tBob\tP\tQ1|Q2\tB|ob",
        "1\tCID\tQ1\tQ2",
        "2|t|None.",
    ]
    (tmp_path / "x.pubtator").write_text("\n".join(lines))
    first, second = read(tmp_path / "x.pubtator")
    assert (first.text, second.text) == ("Ada left|or not.\nBob met Eve.", "None.")
    infons = {"identifier": "Q1|Q2", "individual mentions": "B|ob"}
    assert first.mentions == (mention_at(first.text, 17, 20, "P"),)
    assert first.meta == {
        "relations": [["CID", "Q1", "Q2"]],
        "infons": [{"start": 17, "end": 20, "label": "P", "infons": infons}],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\t0\t3\tAda\tP", "x:1: this is not PubTator"),
        ("1|t|Ada\n2\t0\t3\tAda\tP", "x:2: this is no line of the document '1'"),
        ("1|t|Ada\n1\t0\t3\tAda", "x:2: this is no annotation"),
        ("1|t|Ada\n1|t|Eve", r"x:2: the document '1' has a second line \|t\|"),
        ("1|t|Ada\n1\t0\t3\tEve\tP", "x:1: document '1': the annotation 'Eve' is not at"),
        ("1|t|Ada\nnothing", "x:2: this is no line of the document '1'; a line is"),
    ],
)
def test_lines_that_are_none_of_pubtator_are_errors(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x").write_text(content)
    with pytest.raises(DataError, match=message):
        list(read(tmp_path / "x", "pubtator"))


def test_what_pubtator_does_not_store_is_an_error_or_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot store the id 'a\|b'"):
        write([Document("a|b", "")], tmp_path / "x", "pubtator")
    with pytest.raises(DataError, match=r"cannot store the label 'a\\tb'"):
        write([Document("a", "Ada", (mention_at("Ada", 0, 3, "a\tb"),))], tmp_path / "x", "pubtator")
    with pytest.warns(EntsembleWarning, match="1 document has meta, which PubTator does not store"):
        write([Document("a", "Ada", meta={"page": 1})], tmp_path / "x", "pubtator")
