from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from entsemble.data.formats import read, write
from entsemble.data.options import ReadOptions
from entsemble.errors import DataError
from entsemble.types import Document, mention_at


def pair(folder: Path, text: str, ann: str, name: str = "a") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes(ann.encode())
    return folder


def test_offsets_count_marks_and_carriage_returns(tmp_path: Path) -> None:
    text = "\ufeffAda\r\nBob"
    (document,) = read(pair(tmp_path, text, "T1\tPER 1 4\tAda\nT2\tPER 6 9\tBob\n#1\tAnnotatorNotes T1\thm\nR1\tx\n"))
    assert document.text == text
    assert [m.text for m in document.mentions] == ["Ada", "Bob"]


def test_a_mark_that_offsets_do_not_count(tmp_path: Path) -> None:
    (document,) = read(pair(tmp_path, "\ufeffAda saw Bob", "T1\tPER 0 3\tAda\nT2\tPER 8 11\tBob\n"))
    assert [m.text for m in document.mentions] == ["Ada", "Bob"]


def test_line_ends_inside_mentions(tmp_path: Path) -> None:
    (document,) = read(pair(tmp_path, "Ada\nByron", "T1\tPER 0 9\tAda Byron\n"))
    assert document.mentions[0].text == "Ada\nByron"


def test_mentions_in_pieces(tmp_path: Path) -> None:
    folder = pair(tmp_path, "north and south pole", "T1\tLOC 0 5;16 20\tnorth pole\n")
    with pytest.raises(DataError, match=r"a.ann:1: T1 has 2 pieces"):
        list(read(folder))
    (document,) = read(folder, options=ReadOptions(discontinuous="hull"))
    assert document.mentions[0].text == "north and south pole"


@pytest.mark.parametrize(
    ("ann", "message"),
    [
        ("T1\tPER 0 3\tAda\nT2 PER 0 3\tAda\n", r"a.ann:2: no annotation"),
        ("T1\tPER 0 99\tAda\n", r"a.ann:1: \[0, 99\) is no range"),
        ("T1\tPER 0 3\tBob\n", r"a.ann:1: the line says 'Bob', but the text has 'Ada'"),
        ("?\n", r"a.ann:1: no annotation"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, ann: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read(pair(tmp_path, "Ada", ann)))


def test_a_single_pair_and_lonely_files(tmp_path: Path) -> None:
    pair(tmp_path, "Ada", "T1\tPER 0 3\tAda\n")
    for name in ("a.txt", "a.ann"):
        assert [d.id for d in read(tmp_path / name)] == ["a"]
    (tmp_path / "b.txt").write_text("no mentions")
    assert [len(d.mentions) for d in read(tmp_path)] == [1, 0]
    (tmp_path / "c.ann").write_text("")
    with pytest.raises(DataError, match=r"c.ann has no .txt"):
        list(read(tmp_path))


@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_archives(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"all{ending}"
    files = {"x/dev/a.txt": "\ufeffAda", "x/dev/a.ann": "T1\tPER 1 4\tAda\n", "README.md": "hello"}
    if ending == ".zip":
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


def test_a_broken_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(DataError, match=r"archive|cannot be read"):
        list(read(tmp_path / "x.tar.gz"))


def test_written_names_and_labels_come_back(tmp_path: Path) -> None:
    document = Document("../a b/ü%.txt", "Ada sang", (mention_at("Ada sang", 0, 3, "musical artist 100%"),))
    write([document], tmp_path / "out", "brat")
    assert sorted(p.parent for p in (tmp_path / "out").iterdir()) == [tmp_path / "out"] * 2
    assert list(read(tmp_path / "out")) == [document]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(DataError, match="no empty folder"):
        write([], tmp_path, "brat")
    assert (tmp_path / "mine").read_text() == "x"


def test_an_id_that_makes_no_file_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="makes no file name"):
        write([Document("x" * 300, "a")], tmp_path / "out", "brat")
    assert list(tmp_path.iterdir()) == []
