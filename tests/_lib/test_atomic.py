from __future__ import annotations

from pathlib import Path

import pytest

from entsemble._lib.atomic import remove, replacing


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_file_replaces_another_and_keeps_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    target.write_text("old")
    target.chmod(0o640)
    with replacing(target) as replacement:
        replacement.write_text("new")
        assert target.read_text() == "old"
    assert content(tmp_path) == {"report.txt": "new"}
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_folder_replaces_another_with_all_its_files(tmp_path: Path) -> None:
    target = tmp_path / "parent" / "folder"
    for names in (("a", "b"), ("c",)):
        with replacing(target) as replacement:
            replacement.mkdir()
            for name in names:
                (replacement / name).write_text(name)
    assert content(tmp_path) == {"parent/folder/c": "c"}


def test_after_an_error_the_target_is_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "a").write_text("old")

    def write_half() -> None:
        with replacing(target) as replacement:
            replacement.mkdir()
            (replacement / "a").write_text("new")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write_half()
    assert content(tmp_path) == {"folder/a": "old"}


def test_a_link_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    with replacing(link) as replacement:
        replacement.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_files_folders_and_links_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    remove(tmp_path / "link")
    assert (tmp_path / "folder" / "file").exists()
    for name in ("folder", "absent"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
