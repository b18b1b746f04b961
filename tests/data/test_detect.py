"""Recognition of formats: what is not certain is plain text, of which nothing is lost."""

from __future__ import annotations

import io
import random
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from entsemble.data.detect import detect_format
from entsemble.data.formats import read, read_stream
from entsemble.data.source import Source
from entsemble.errors import DataError, EntsembleWarning
from entsemble.types import mention_at

from .corpora import COUNTS

_LINES_PER_CORPUS = 60
MENTION = mention_at("Ada left.", 0, 3, "P")


def read_text(content: str) -> str:
    """The text of a nameless stream that is read as one plain text."""
    (document,) = read_stream(io.StringIO(content))
    assert document.mentions == ()
    return document.text


@pytest.mark.parametrize(
    "content",
    [
        "H2 O2\n",
        "e4\n",
        "²0\n",
        "1 2\n2 3\n",
        "[Note] He came.\n",
        '["Come in," he said.]\n',
        "{He came.}\n",
        "{\n",
        "[[1], [2]]\n",
        "O sole\nO mare\nO cielo\n",
        "text\n",
        "",
        "\n\n",
    ],
)
def test_a_plain_text_is_read_whole(content: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_text(content) == content


@pytest.mark.parametrize(
    "content",
    [
        "Her blood type is O",
        "Her blood type is O\n",
        "He works on the B-52\n",
        "O\tbrother\n",
        "type\tO\nvitamin\tB-12\n",
        "the E-mail\nthe S-Bahn\nthe L-shape\n",
        "blood type O\nblood type O\n",
        "Vitamin\tB-complex\nBlood\tO\n",
        "Type O\n" * 20,
        "text\tmessage\n",
        "text\tmessage\na\tb\tc\n",
    ],
)
def test_a_plain_text_that_resembles_columns_is_read_whole_with_a_warning(content: str) -> None:
    with pytest.warns(UserWarning, match="stdin: read as plain text, although some of it looks like"):
        assert read_text(content) == content


@pytest.mark.parametrize(
    "content",
    [
        "Ada\tB-PER\nleft\tO\n.\tO\n",
        "Ada B-PER\nleft O\n. O\n",
        "# id\n1 Ada B-PER\n2 left O\n3 . O\n",
        "-DOCSTART- O\n\nAda U-PER\nleft O\n. O\n",
        "O left\nB-PER Ada\nI-PER Byron\n",
        "a O\nb O\n\n" * 5,
        "Ada\tB-PER\rleft\tO\r.\tO\r",
        "Ada\tB-PER\r\nleft\tO\r\n.\tO\r\n",
    ],
)
def test_small_files_of_columns_are_detected(content: str) -> None:
    assert detect_format(Source.from_stream(io.BytesIO(content.encode()), "x")) == "conll"


@pytest.mark.parametrize(
    ("content", "format_name"),
    [
        ('{"text": "a"}\n{"text": "b"}\n', "jsonl"),
        ('{"text":\n"a"}', "json"),
        ('[\n{"a\\"b": "a"}]', "json"),
        ("[]", "json"),
        ('[["Ada", {"entities": []}]]', "json"),
        ("id\ttext\n1\ta\n", "tsv"),
    ],
)
def test_formats_of_nameless_content(content: str, format_name: str) -> None:
    assert detect_format(Source.from_stream(io.BytesIO(content.encode()), "x")) == format_name


@pytest.mark.parametrize(
    ("name", "content", "markup"),
    [
        ("a.xml", "<doc>Ada</doc>", "XML"),
        ("a.XMI", "<xmi/>", "XMI"),
        ("a.yaml", "text: Ada", "YAML"),
        ("a.txt", '<?xml version="1.0"?>\n<doc/>', "XML"),
        ("a.txt", "{\\rtf1 Ada}", "RTF"),
        ("a.txt", '<DOC id="1">\n<TEXT>Ada</TEXT>\n</DOC>\n', "XML or HTML"),
        ("a", "<p>Ada <b>left</b>.</p>", "XML or HTML"),
        ("a.txt", "\\documentclass{article}\nAda", "LaTeX"),
        ("a.xml", "<collection><item>Ada</item></collection>", "XML"),
        ("a.tsv", " # webanno.custom.X | y\n#id=1\n1-1\tAda\tP\n", "an old WebAnno TSV"),
    ],
)
def test_files_of_markup_are_refused(tmp_path: Path, name: str, content: str, markup: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"{re.escape(name)}: .*{markup}.*cannot be read; (convert|export) it"):
        list(read(tmp_path / name))
    assert next(read(tmp_path / name, "text")).text == content


BIOC = (
    "<collection><document><id>7</id><passage><offset>0</offset><text>Ada left.</text><annotation>"
    '<infon key="type">P</infon><location offset="0" length="3"/><text>Ada</text></annotation></passage>'
    "</document></collection>"
)
PUBTATOR = "7|t|Ada left.\n7|a|\n7\t0\t3\tAda\tP\n"


@pytest.mark.parametrize("name", ["a", "a.txt", "a.xml", "a.PubTator.txt", "deep/a.xml"])
@pytest.mark.parametrize(
    "content",
    [
        BIOC,
        f'\ufeff<?xml version="1.0"?>\n<!-- x -->\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n{BIOC}',
        PUBTATOR,
        "\r\n" + PUBTATOR.replace("\n", "\r\n"),
    ],
)
def test_annotated_corpora_are_known_by_their_content(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / "folder" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode())
    (path.parent / "other.xml").write_text("<other/>")
    archive = Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "folder"))
    for source in (path, tmp_path / "folder", archive):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the other file
            assert [(document.id, document.mentions) for document in read(source)] == [("7", (MENTION,))]


@pytest.mark.parametrize("content", ["7|t|Ada\n8|a|Ada left.\n", "Ada\n7|t|Ada\n7|a|x\n", "7|t|Ada\n"])
def test_a_text_that_resembles_pubtator_is_a_text(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    assert next(read(tmp_path / "a.txt")).text == content


@pytest.mark.parametrize("content", ['{"text": "Ada", "label": [[0, 3, "P"]]}\n' * 2, '[{"data": {"text": "Ada"}}]'])
def test_json_that_is_called_text_is_announced(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    with pytest.warns(EntsembleWarning, match="a.txt: read as plain text, although some of it looks like JSON"):
        assert next(read(tmp_path / "a.txt")).text == content


@pytest.mark.parametrize(
    "content",
    [
        '<ENAMEX TYPE="PERSON">Ada</ENAMEX> left.',
        "<START:person> Ada <END> left .",
        "Ada/PERSON King/PERSON left/O Turin/LOCATION ./O\n",
        "<PER>Ada</PER> left <LOC>Turin</LOC>.",
        "## intent:book\n- a room in [Turin](city)\n",
        '- a room in [Turin]{"entity": "city"}\n',
        'TRAIN_DATA = [("Ada left.", {"entities": [(0, 3, "PER")]})]\n',
    ],
)
def test_annotation_within_a_text_is_announced(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    with pytest.warns(
        EntsembleWarning, match="a.txt: read as plain text, .* like annotation within the text; .*convert"
    ):
        assert next(read(tmp_path / "a.txt")).text == content


@pytest.mark.parametrize(
    "content",
    [
        "<3 Ada",
        "<Ada> hello",
        "x <b>Ada</b>",
        "x <STRONG>Ada</STRONG>",
        "- see [here](a/b.md)",
        "a [1](b)",
        "{Ada} left",
        "[]",
        "{}",
        "---\na: b\n---\n",
    ],
)
def test_texts_with_some_markup_are_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    assert next(read(tmp_path / "a.txt")).text == content


@pytest.mark.parametrize("name", ["a.tsv", "a.txt", "a.conll", "a"])
def test_comments_before_a_tab_are_read_as_in_germeval(tmp_path: Path, name: str) -> None:
    sentence = "#\tx.de vom 26.02.2005 [2005]\n1\tAda\tB-PER\tO\n2\tging\tO\tO\n\n"
    (tmp_path / name).write_text(sentence * 2)
    assert [(d.text, [m.label for m in d.mentions]) for d in read(tmp_path / name)] == [("Ada ging", ["PER"])] * 2


def test_a_table_with_old_line_ends_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text\rfine\rlines\r")
    assert [document.text for document in read(tmp_path / "a.csv")] == ["fine", "lines"]


@pytest.mark.corpora
@pytest.mark.parametrize("path", COUNTS)
def test_no_line_of_a_real_text_is_taken_for_anything_else(path: str, corpus: Callable[[str], Path]) -> None:
    documents = (document for _, document in zip(range(300), read(corpus(path)), strict=False))
    lines = [line for document in documents for line in document.text.splitlines() if line.strip()]
    for line in random.Random(7).sample(lines, min(_LINES_PER_CORPUS, len(lines))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert read_text(line + "\n") == line + "\n"


@pytest.mark.corpora
@pytest.mark.parametrize("path", [path for path in COUNTS if not path.endswith((".json", ".gz"))])
def test_real_files_are_recognised_by_their_content(path: str, corpus: Callable[[str], Path]) -> None:
    with corpus(path).open("rb") as file:
        assert detect_format(Source.from_stream(file, "x")) == "conll"


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"%PDF-1.7\n\xe2\xe3", "PDF"), (b"PK\x03\x04\0", "a zip archive"), (b"\x1f\x8b\x08", "a gzip file")],
)
def test_binary_files_are_named(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=f"a.txt: this is {name}"):
        list(read(tmp_path / "a.txt"))
