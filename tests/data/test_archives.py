"""Archives: whatever is in them is read right, or refused with an error that names the archive and the file."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from entsemble.data import archives
from entsemble.data.formats import read
from entsemble.errors import DataError, EntsembleWarning

PAIR = {"a.txt": b"Mara rang.", "a.ann": b"T1\tP 0 4\tMara\n"}


def save_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def save_tar(path: Path, files: dict[str, bytes], mode: str = "w:xz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def mentions(path: Path) -> list[tuple[str, list[str]]]:
    return [(document.id, [mention.text for mention in document.mentions]) for document in read(path)]


@pytest.mark.parametrize("suffix", [".tar.xz", ".tar.bz2", ".tar.gz", ".tar", ".txz"])
def test_tar_archives_are_read(tmp_path: Path, suffix: str) -> None:
    mode = "w:" + {"xz": "xz", "bz2": "bz2", "gz": "gz", "tar": "", "txz": "xz"}[suffix.rsplit(".", maxsplit=1)[-1]]
    assert mentions(save_tar(tmp_path / f"a{suffix}", PAIR, mode)) == [("a", ["Mara"])]


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    hidden = {"__MACOSX/._a.ann": b"\0", "__MACOSX/a.txt": b"\0", "._a.txt": b"\0", ".git/b.txt": b"x"}
    assert mentions(save_zip(tmp_path / "a.zip", {**hidden, **PAIR})) == [("a", ["Mara"])]
    folder = tmp_path / "folder"
    for name, content in {**hidden, **PAIR}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert mentions(folder) == [("a", ["Mara"])]


def test_endings_in_capitals_are_read(tmp_path: Path) -> None:
    files = {"a.TXT": PAIR["a.txt"], "a.ann": PAIR["a.ann"], "b.txt": b"b"}
    assert sorted(mentions(save_zip(tmp_path / "a.zip", files))) == [("a", ["Mara"]), ("b", [])]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "A.TXT").write_bytes(PAIR["a.txt"])
    (folder / "A.ANN").write_bytes(PAIR["a.ann"])
    for path in (folder, folder / "A.TXT", folder / "A.ANN"):
        assert mentions(path) == [("A", ["Mara"])]


def test_other_formats_in_archives_are_read(tmp_path: Path) -> None:
    line = b'{"id": 3, "text": "Mara rang.", "label": [[0, 4, "P"]]}\n'
    path = save_zip(tmp_path / "a.zip", {"admin.jsonl": line, "readme.txt": b"Hello."})
    assert mentions(path) == [("3", ["Mara"]), ("a.zip/readme.txt", [])]
    assert [d.id for d in read(save_zip(path, {"admin.dat": line}), "doccano")] == ["3"]
    path = save_tar(tmp_path / "a.tar.xz", {"x/a.conll": b"Mara\tB-P\n", "b.csv": b"text\nBo\n"})
    assert mentions(path) == [("a.tar.xz/x/a.conll:1", ["Mara"]), ("a.tar.xz/b.csv:2", [])]
    with pytest.raises(DataError, match=r"a.zip: the archive has no file of a known format"):
        list(read(save_zip(tmp_path / "a.zip", {"a.png": b"x"})))


def test_files_in_archives_are_recognised_by_their_content(tmp_path: Path) -> None:
    conll = b"Mara\tB-P\nwent\tO\n.\tO\n"
    task = b'[{"id": 1, "data": {"text": "Bo"}, "annotations": [{"result": [{"value": {"start": 0, "end": 2, '
    task += b'"text": "Bo", "labels": ["P"]}}]}]}]'
    path = save_zip(tmp_path / "a.zip", {"train.txt": conll, "dev": conll, "export.json": task})
    assert [names for _, names in mentions(path)] == [["Mara"], ["Mara"], ["Bo"]]


def test_what_an_archive_holds_that_is_not_read_is_listed(tmp_path: Path) -> None:
    pictures = {f"{number}.png": b"\0" for number in range(6)}
    path = save_zip(tmp_path / "a.zip", {"a.jsonl": b'{"text": "Bo"}\n', "b.parquet": b"PAR1", **pictures})
    with pytest.warns(EntsembleWarning, match=r"a.zip: not read: b.parquet \(if .*\); 0.png, .*, 4.png and 1 more \("):
        assert mentions(path) == [("a.zip/a.jsonl:1", [])]


def test_two_members_of_one_name_are_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.txt", "two")
    with pytest.raises(DataError, match=r"a.zip: the archive has two files 'a.txt'"):
        list(read(tmp_path / "a.zip"))
    with pytest.raises(DataError, match="two files"):
        list(read(save_zip(tmp_path / "b.zip", {"a.txt": b"", "a.TXT": b""})))


def test_links_are_an_error(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.txt")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    tar_link = tarfile.TarInfo("a.txt")
    tar_link.type, tar_link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tar_link)
    for name in ("a.zip", "a.tar"):
        with pytest.raises(DataError, match=rf"{name}: 'a.txt' in the archive is a link"):
            list(read(tmp_path / name))


def test_damaged_and_encrypted_archives_are_an_error(tmp_path: Path) -> None:
    path = save_zip(tmp_path / "lzma.zip", {"a.txt": b"Mara rang. " * 100}, zipfile.ZIP_LZMA)
    content = bytearray(path.read_bytes())
    content[50:70] = bytes(20)
    path.write_bytes(content)
    path = save_zip(tmp_path / "locked.zip", PAIR)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    (tmp_path / "cut.tar.xz").write_bytes(lzma.compress(b"x" * 10_000)[:-20])
    (tmp_path / "empty.zip").write_bytes(b"")
    for name in ("lzma.zip", "locked.zip", "cut.tar.xz", "empty.zip"):
        with pytest.raises(DataError, match=rf"{name}: the archive cannot be read"):
            list(read(tmp_path / name))


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = {"a.txt": bytes(20_000_000)}
    for path in (save_zip(tmp_path / "a.zip", bomb), save_tar(tmp_path / "a.tar.xz", bomb)):
        with pytest.raises(DataError, match=rf"{path.name}: at 'a.txt', the archive has become larger"):
            list(read(path))
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    with pytest.raises(DataError, match="larger than one of texts should be"):
        list(read(save_zip(tmp_path / "b.zip", {f"{i}.txt": b"" for i in range(4)})))
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 3)
    with pytest.raises(DataError, match="has 4 bytes, and 3 may be read"):
        list(read(save_zip(tmp_path / "c.zip", {"a.txt": b"1234"})))
