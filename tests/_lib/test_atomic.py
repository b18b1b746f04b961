from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from entsemble._lib.atomic import abandon_replacements, lock_output, remove, replacing
from entsemble.errors import InUseError

KILLED_WRITER = """
import os, pathlib, signal, sys
from entsemble._lib import atomic
target = pathlib.Path(sys.argv[1])
if sys.argv[2] == "between renames":
    rename = pathlib.Path.rename
    pathlib.Path.rename = lambda path, new_path: (rename(path, new_path), os.kill(os.getpid(), signal.SIGKILL))
with atomic.replacing(target) as replacement:
    replacement.mkdir()
    (replacement / "a").write_text("new")
    if sys.argv[2] == "half way":
        os.kill(os.getpid(), signal.SIGKILL)
"""
"""Writes a folder and is killed."""


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


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("moment", ["half way", "between renames"])
def test_the_next_writer_recovers_what_a_killed_one_left(tmp_path: Path, moment: str) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "a").write_text("old")
    (tmp_path / ".folder.backup").mkdir()  # somebody else's
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, target, moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".folder.*.replacing"))
    lock_output(target).close()
    assert content(tmp_path) == {"folder/a": "old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".folder.backup", "folder"]


def test_leftovers_of_other_targets_are_not_touched(tmp_path: Path) -> None:
    with replacing(tmp_path / "out.jsonl") as replacement:
        replacement.write_text("1")
        with replacing(tmp_path / "jsonl") as other, replacing(tmp_path / "out") as another:
            other.write_text("2")
            another.write_text("3")
    assert content(tmp_path) == {"out.jsonl": "1", "jsonl": "2", "out": "3"}


def test_a_second_writer_is_refused_and_the_first_is_not_disturbed(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with replacing(target) as replacement:
        replacement.write_text("first")
        with pytest.raises(InUseError, match=rf"out: process {os.getpid()} \(at work since "), replacing(target):
            pass
    assert content(tmp_path) == {"out": "first"}


def test_who_has_the_lock_writes_with_it(tmp_path: Path) -> None:
    lock = lock_output(tmp_path / "out")
    with replacing(tmp_path / "out", lock=lock) as replacement:
        replacement.write_text("1")
    with pytest.raises(InUseError), replacing(tmp_path / "out"):
        pass
    lock.close()
    assert content(tmp_path) == {"out": "1"}


def test_an_interrupt_between_the_renames_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "a").write_text("old")
    rename = Path.rename

    def rename_and_interrupt(path: Path, new_path: Path) -> Path:
        if path.parent.name.endswith(".replacing") and path.name == "folder":
            raise KeyboardInterrupt
        return rename(path, new_path)

    monkeypatch.setattr(Path, "rename", rename_and_interrupt)
    with pytest.raises(KeyboardInterrupt), replacing(target) as replacement:
        replacement.mkdir()
    assert content(tmp_path) == {"folder/a": "old"}


def test_a_process_that_ends_at_once_abandons_its_replacements(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")

    def end_at_once() -> None:
        with replacing(tmp_path / "out") as replacement:
            replacement.write_text("new")
            abandon_replacements()
            assert content(tmp_path) == {"out": "old"}

    with pytest.raises(FileNotFoundError):
        end_at_once()
    assert content(tmp_path) == {"out": "old"}


def test_new_files_follow_the_umask_unless_they_are_private(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        for name, is_private in (("open", False), ("private", True)):
            for _ in range(2):
                with replacing(tmp_path / name, private=is_private) as replacement:
                    replacement.touch()
        (tmp_path / "private").chmod(0o640)  # as the user wants it
        with replacing(tmp_path / "private", private=True) as replacement:
            replacement.touch()
    finally:
        os.umask(umask)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("open", "private")] == [0o644, 0o640]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_devices_and_open_files_are_written_directly(tmp_path: Path) -> None:
    def write_full() -> None:
        with replacing(Path("/dev/full")) as replacement:
            replacement.write_text("x")

    with pytest.raises(OSError, match="No space left"):
        write_full()
    with (tmp_path / "file").open("wb") as file:
        path = Path(f"/dev/fd/{file.fileno()}")
        with replacing(path) as replacement:
            assert replacement == path


def test_links_that_lead_back_to_one_another_are_an_error_of_the_system(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic links") as caught, replacing(loop):
        pass
    assert caught.value.errno == errno.ELOOP
