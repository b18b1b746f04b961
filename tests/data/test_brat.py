from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from entsemble.data.formats import read, write
from entsemble.data.options import ReadOptions
from entsemble.errors import DataError, EntsembleWarning
from entsemble.types import Document, mention_at


def write_pair(folder: Path, text: str, annotations: str, name: str = "a") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes(annotations.encode())
    return folder


def test_offsets_count_byte_order_marks_and_carriage_returns(tmp_path: Path) -> None:
    text = "\ufeffAda\r\nBob"
    (document,) = read(
        write_pair(tmp_path, text, "T1\tPER 1 4\tAda\nT2\tPER 6 9\tBob\n#1\tAnnotatorNotes T1\thm\nR1\tx\n")
    )
    assert document.text == text
    assert [m.text for m in document.mentions] == ["Ada", "Bob"]


def test_offsets_that_do_not_count_the_byte_order_mark_are_corrected(tmp_path: Path) -> None:
    (document,) = read(write_pair(tmp_path, "\ufeffAda saw Bob", "T1\tPER 0 3\tAda\nT2\tPER 8 11\tBob\n"))
    assert [m.text for m in document.mentions] == ["Ada", "Bob"]


def test_line_ends_in_mentions_may_be_written_as_spaces(tmp_path: Path) -> None:
    (document,) = read(write_pair(tmp_path, "Ada\nByron", "T1\tPER 0 9\tAda Byron\n"))
    assert document.mentions[0].text == "Ada\nByron"


def test_a_mention_that_begins_with_a_line_end_is_announced(tmp_path: Path) -> None:
    document = Document("a", "x\nAda", (mention_at("x\nAda", 1, 5, "PER"),))
    with pytest.warns(EntsembleWarning, match="1 mention begins or ends with a line end, which brat refuses"):
        write([document], tmp_path / "out", "brat")
    assert list(read(tmp_path / "out")) == [document]


def test_pieces_are_counted_as_the_rest_of_the_file_counts(tmp_path: Path) -> None:
    folder = write_pair(tmp_path, "Hi\r\nnorth and\r\nsouth pole", "T1\tLOC 3 8;19 23\tnorth pole\n")
    (document,) = read(folder, options=ReadOptions(discontinuous="hull"))
    assert document.mentions[0].text == "north and\r\nsouth pole"


def test_annotations_of_bionlp_are_read(tmp_path: Path) -> None:
    text = "Ras binds Raf."
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(text)
        (tmp_path / f"{name}.a1").write_text("T1\tProtein 0 3\tRas\nT2\tProtein 10 13\tRaf\n")
    (tmp_path / "a.a2").write_text("T3\tBinding 4 9\tbinds\nE1\tBinding:T3 Theme:T1\n*\tEquiv T1 T2\n")
    (tmp_path / "b.ann").write_text("T1\tOnly 0 3\tRas\n")
    expected = [("a", ["Protein", "Binding", "Protein"]), ("b", ["Only"])]
    found = [(document.id, [mention.label for mention in document.mentions]) for document in read(tmp_path)]
    assert found == expected
    assert [m.label for m in next(read(tmp_path / "a.txt")).mentions] == expected[0][1]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        for path in sorted(tmp_path.glob("[ab].*"), reverse=True):
            packed.write(path, path.name)
    assert sorted((d.id, [m.label for m in d.mentions]) for d in read(tmp_path / "all.zip")) == expected


def test_data_beside_brat_files_that_is_not_read_is_announced(tmp_path: Path) -> None:
    write_pair(tmp_path, "Ada", "T1\tPER 0 3\tAda\n")
    (tmp_path / "more.jsonl").write_text('{"text": "x"}')
    (tmp_path / "notes.md").write_text("x")
    with pytest.warns(EntsembleWarning, match=r"not read: more.jsonl \(if they are data, give them by name\)$"):
        assert [document.id for document in read(tmp_path)] == ["a"]


def test_a_discontinuous_mention_is_an_error_or_read_as_its_hull(tmp_path: Path) -> None:
    folder = write_pair(tmp_path, "north and south pole", "T1\tLOC 0 5;16 20\tnorth pole\n")
    with pytest.raises(DataError, match=r"a.ann:1: T1 has 2 pieces"):
        list(read(folder))
    (document,) = read(folder, options=ReadOptions(discontinuous="hull"))
    assert document.mentions[0].text == "north and south pole"


@pytest.mark.parametrize(
    ("ann", "message"),
    [
        ("T1\tPER 0 3\tAda\nT2 PER 0 3\tAda\n", r"a.ann:2: this is not a brat annotation"),
        ("T1\tPER 0 99\tAda\n", r"a.ann:1: \[0, 99\) is not a range"),
        ("T1\tPER 0 3\tBob\n", r"a.ann:1: the line says 'Bob', but the text has 'Ada'"),
        ("T1\tPER 0 3\tAdam\n", r"a.ann:1: the line says 'Adam', but the text has 'Ada'"),
        ("T1\tPER 0 3\tAd\n", r"a.ann:1: the line says 'Ad', but the text has 'Ada'"),
        ("T1\tPER 0 2;1 3\tAda\n", r"a.ann:1: the pieces of T1 overlap"),
        ("?\n", r"a.ann:1: this is not a brat annotation"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, ann: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read(write_pair(tmp_path, "Ada", ann)))


def test_a_text_may_lack_annotations_but_not_vice_versa(tmp_path: Path) -> None:
    write_pair(tmp_path, "Ada", "T1\tPER 0 3\tAda\n")
    for name in ("a.txt", "a.ann"):
        assert [d.id for d in read(tmp_path / name)] == ["a"]
    (tmp_path / "b.txt").write_text("no mentions")
    assert [len(d.mentions) for d in read(tmp_path)] == [1, 0]
    (tmp_path / "c.ann").write_text("")
    with pytest.raises(DataError, match=r"c.ann has no .txt"):
        list(read(tmp_path))


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_archives_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"all{suffix}"
    files = {"x/dev/a.txt": "\ufeffAda", "x/dev/a.ann": "T1\tPER 1 4\tAda\n", "README.md": "hello"}
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, content in files.items():
                packed.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content.encode())
                tar.addfile(info, io.BytesIO(content.encode()))
    (document,) = read(path)
    assert (document.id, document.mentions[0].text) == ("x/dev/a", "Ada")


def test_a_broken_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(DataError, match=r"archive|cannot be read"):
        list(read(tmp_path / "x.tar.gz"))


def test_any_id_and_label_can_be_written_and_read_back(tmp_path: Path) -> None:
    document = Document("../a b/ü%.txt", "Ada sang", (mention_at("Ada sang", 0, 3, "musical artist 100%"),))
    write([document], tmp_path / "out", "brat")
    assert sorted(p.parent for p in (tmp_path / "out").iterdir()) == [tmp_path / "out"] * 2
    assert list(read(tmp_path / "out")) == [document]


def test_a_folder_that_is_not_empty_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(DataError, match="not an empty folder"):
        write([], tmp_path, "brat")
    assert (tmp_path / "mine").read_text() == "x"


def test_an_id_too_long_for_a_file_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not make a file name"):
        write([Document("x" * 300, "a")], tmp_path / "out", "brat")
    assert list(tmp_path.iterdir()) == []


def test_a_mention_over_line_ends_has_a_piece_for_each_line(tmp_path: Path) -> None:
    text = "Ada\r\nByron\n\nLee left"
    document = Document("a", text, (mention_at(text, 0, 15, "PER"),))
    write([document], tmp_path / "out", "brat")
    assert (tmp_path / "out" / "a.ann").read_text() == "T1\tPER 0 3;5 10;12 15\tAda Byron Lee\n"
    assert list(read(tmp_path / "out")) == [document]


@pytest.mark.parametrize(
    ("line", "surface"),
    [
        ("T1\tPER 5 8\tAda\t# a comment", "Ada"),
        ("T1 \tPER 5 8\tAda", "Ada"),
        ("T1\tPER 5 8 \tAda", "Ada"),
        ("T1\tPER 5 8\tAda  a comment", "Ada"),
        ("T1\tPER 5 12\tAda\u00a0Lee", "Ada Lee"),
        ("T1\tPER 5 8", "Ada"),
        ("T1\tPER 5 8\t ", "Ada"),
        ("Tx1\tPER 5 8\tAda\r", "Ada"),
        ("T1\tPER 4 7\tAda", "Ada"),  # CRLF counted as one character
        ("T1\tPER 5 8;9 12\tAda Lee", "Ada Lee"),
    ],
)
def test_what_other_tools_write_is_read(tmp_path: Path, line: str, surface: str) -> None:
    (document,) = read(write_pair(tmp_path, "Hi,\r\nAda Lee", line + "\n"))
    assert [mention.text for mention in document.mentions] == [surface]


def test_a_mention_before_a_crlf_that_counts_as_one(tmp_path: Path) -> None:
    (document,) = read(write_pair(tmp_path, "Hi\r\nAda\r\nLee", "T1\tPER 3 6\tAda\nT2\tPER 7 10\tLee\n"))
    assert [mention.text for mention in document.mentions] == ["Ada", "Lee"]


@pytest.mark.parametrize("offsets", ["3 0", "3 3", "0 3;3 2", "9" * 5000 + " 3"])
def test_reversed_and_endless_offsets_are_errors(tmp_path: Path, offsets: str) -> None:
    with pytest.raises(DataError, match=r"a.ann:1: (.* is not a range|this is not a brat annotation)"):
        list(read(write_pair(tmp_path, "Ada", f"T1\tPER {offsets}\tAda\n")))


def test_a_long_id_in_another_script_is_a_file_name(tmp_path: Path) -> None:
    document = Document("протокол/" * 12, "Ada")
    write([document], tmp_path / "out", "brat")
    assert list(read(tmp_path / "out", "brat")) == [document]
