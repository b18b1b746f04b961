"""WebAnno TSV, XMI and the JSON of a CAS: which annotations are mentions, and what offsets count."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
from entsemble.errors import DataError, EntsembleWarning
from entsemble.types import Document

NAMED_ENTITY = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
POS = "de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS"
HEAD = "#FORMAT=WebAnno TSV 3.3\n"
NAMES = f"{HEAD}#T_SP={NAMED_ENTITY}|identifier|value\n\n\n"


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(mention.text, mention.label) for mention in document.mentions]


def read_tsv(folder: Path, content: str) -> Document:
    (folder / "x.tsv").write_text(content)
    (document,) = read(folder / "x.tsv")
    return document


def test_numbers_join_tokens_and_bars_separate_annotations(tmp_path: Path) -> None:
    document = read_tsv(
        tmp_path,
        f"{NAMES}#Text=Ada King left New_York .\n"
        "1-1\t0-3\tAda\thttp://w/Q1[1]\tPER[1]\t\n"
        "1-2\t4-8\tKing\thttp://w/Q1[1]|*[2]\tPER[1]|NICK[2]\t\n"
        "1-3\t9-13\tleft\t_\t_\t\n"
        "1-4\t14-22\tNew_York\t*\tLOC\\_X\t\n"
        "1-4.1\t14-17\tNew\t*\tADJ\t\n"
        "1-5\t23-24\t.\t_\t_\t\n",
    )
    assert mentions(document) == [("Ada King", "PER"), ("King", "NICK"), ("New_York", "LOC_X"), ("New", "ADJ")]
    infons = {"start": 0, "end": 8, "label": "PER", "infons": {"identifier": "http://w/Q1"}}
    assert (document.id, document.meta) == ("x.tsv", {"infons": [infons]})


def test_a_number_that_returns_later_is_another_annotation(tmp_path: Path) -> None:
    rows = "".join(
        f"\n#Text=Ada King .\n{n}-1\t{o}-{o + 3}\tAda\t*[1]\tPER[1]\n{n}-2\t{o + 4}-{o + 8}\tKing\t*[1]\tPER[1]\n"
        f"{n}-3\t{o + 9}-{o + 10}\t.\t_\t_\n"
        for n, o in ((1, 0), (2, 11))
    )
    document = read_tsv(tmp_path, NAMES + rows)
    assert document.text == "Ada King . Ada King ."
    assert mentions(document) == [("Ada King", "PER")] * 2


@pytest.mark.parametrize("start", [3, 2])  # in UTF-16 units, as WebAnno writes it, and in code points
def test_offsets_count_utf_16_units_or_code_points(tmp_path: Path, start: int) -> None:
    rows = f"1-1\t0-{start - 1}\t😀\t_\t_\n1-2\t{start}-{start + 3}\tAda\t*\tPER\n"
    assert mentions(read_tsv(tmp_path, f"{NAMES}#Text=😀 Ada\n{rows}")) == [("Ada", "PER")]


def test_letters_that_java_escapes_are_read(tmp_path: Path) -> None:
    rows = "1-1\t0-5\tDafür\t_\t_\n1-2\t6-8\t😀\t*\tX\n"
    document = read_tsv(tmp_path, f"{NAMES}#Text=Daf\\u00FCr \\uD83D\\uDE00\n{rows}")
    assert (document.text, mentions(document)) == ("Dafür 😀", [("😀", "X")])


def test_sentences_are_as_far_apart_as_their_offsets_say(tmp_path: Path) -> None:
    sentences = [("Ada.", 0), ("Bob.", 4), ("Eve.", 9), ("Kim.", 20), ("Restart.", 0)]
    rows = "".join(
        f"\n#Text={text}\n{n}-1\t{start}-{start + len(text)}\t{text}\t_\t_\n"
        for n, (text, start) in enumerate(sentences)
    )
    assert read_tsv(tmp_path, NAMES + rows).text == "Ada.Bob. Eve.\n\nKim.\nRestart."


def test_custom_layers_are_read_without_one_of_names(tmp_path: Path) -> None:
    layers = f"#T_SP={POS}|PosValue\n#T_SP=webanno.custom.Chemical|\n#T_SP=custom.Role|comment|role\n"
    row = "1-1\t0-3\tAda\tNN\t*\tgood\tboss\n"
    document = read_tsv(tmp_path, f"{HEAD}{layers}\n#Text=Ada\n{row}")
    assert sorted(mentions(document)) == [("Ada", "Chemical"), ("Ada", "boss")]
    assert document.meta["infons"][0]["infons"] == {"comment": "good"}
    with pytest.raises(DataError, match=r"no layer marks names: .* but POS; export"):
        read_tsv(tmp_path, f"{HEAD}#T_SP={POS}|PosValue\n\n#Text=Ada\n1-1\t0-3\tAda\tNN\n")


def test_what_is_not_read_is_announced(tmp_path: Path) -> None:
    layers = f"#T_SP={NAMED_ENTITY}|value\n#T_SP=custom.Role|role\n#T_RL=custom.Boss|x|BT_{NAMED_ENTITY}\n"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        document = read_tsv(tmp_path, f"{HEAD}{layers}\n#Text=Ada\n1-1\t0-3\tAda\tPER\tboss\t_\t_\n")
    assert mentions(document) == [("Ada", "PER")]
    messages = [str(warning.message).partition(": ")[2] for warning in caught]
    assert messages == [
        "relations and chains are not read: Boss",
        "1 annotation not read, of the layers Role; NamedEntity is",
    ]
    assert {warning.category for warning in caught} == {EntsembleWarning}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1-1\t0-3\tAda\t_\t_\n", "x.tsv:5: there is no line #Text= before this token"),
        ("#Text=Ada\n1-1\t0-3\tEve\t_\t_\n", "x.tsv:6: the tokens of the sentence at line 5 are not at their offsets"),
        ("#Text=Ada\nAda PER\n", "x.tsv:6: this is no line of WebAnno TSV 3"),
    ],
)
def test_damaged_tsv_is_an_error(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_tsv(tmp_path, NAMES + rows)


def xmi(sofa: str = 'sofaString="😀 Ada left.&#10;Bye."', begin: int = 3) -> str:
    return (
        '<?xml version="1.0"?><xmi:XMI xmlns:xmi="http://www.omg.org/XMI" xmlns:cas="http:///uima/cas.ecore" '
        'xmlns:t="http:///de/tudarmstadt/ukp/dkpro/core/api/ner/type.ecore">'
        f'<t:NamedEntity xmi:id="9" sofa="1" begin="{begin}" end="{begin + 3}" value="PER" identifier="Q1"/>'
        '<t:NamedEntity xmi:id="8" sofa="2" begin="0" end="3" value="LOC"/>'
        f'<cas:Sofa xmi:id="1" sofaID="_InitialView" {sofa}/><cas:View sofa="1" members="9"/></xmi:XMI>'
    )


def cas_json(**changes: Any) -> dict[str, Any]:
    sofa = {"%ID": 1, "%TYPE": "uima.cas.Sofa", "sofaID": "_InitialView", "sofaString": "😀 Ada left.\nBye."} | changes
    name = {"%ID": 2, "%TYPE": NAMED_ENTITY, "@sofa": 1, "begin": 3, "end": 6, "value": "PER", "identifier": "Q1"}
    return {"%TYPES": {}, "%FEATURE_STRUCTURES": [sofa, name], "%VIEWS": {}}


@pytest.mark.parametrize("name", ["x.xmi", "x.xml", "x", "x.json"])
def test_a_cas_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps(cas_json()) if name == "x.json" else xmi())
    (document,) = read(tmp_path / name)
    assert document.text == "😀 Ada left.\nBye."
    assert mentions(document) == [("Ada", "PER")]
    assert document.meta == {"infons": [{"start": 2, "end": 5, "label": "PER", "infons": {"identifier": "Q1"}}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (xmi(sofa=""), "there is no text in this CAS"),
        (xmi(begin=99), r"NamedEntity at \[99, 102\) is not in the text"),
        (json.dumps(cas_json(sofaString=None)), "there is no text in this CAS"),
        (json.dumps(cas_json(sofaString="Ada")), r"NamedEntity at \[3, 6\) is not in the text"),
    ],
)
def test_a_cas_that_cannot_be_read_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    name = "x.json" if content.startswith("{") else "x.xmi"
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"{name}:1: .*{message}"):
        list(read(tmp_path / name))
