from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from entsemble._lib import digest
from entsemble.backends.checksums import CHECKSUMS_FILE, file_checksum, is_named_after_content

CONTENT = b"weights"


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)


def sha256_name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def test_a_file_is_read_again_only_after_a_change(tmp_path: Path) -> None:
    cache, file, reads = tmp_path / "cache", tmp_path / "model.gguf", list[int]()
    file.write_bytes(CONTENT)
    for _ in range(3):
        assert file_checksum(file, cache, reads.append) == sha256_name(CONTENT)
    assert reads == [len(CONTENT)]
    assert (cache / CHECKSUMS_FILE).stat().st_mode & 0o077 == 0
    file.write_bytes(CONTENT.upper())
    assert file_checksum(file, cache, reads.append) == sha256_name(CONTENT.upper())


def test_the_same_relative_path_in_two_folders_is_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.gguf").write_bytes(name.encode())
        monkeypatch.chdir(tmp_path / name)
        assert file_checksum(Path("model.gguf"), tmp_path / "cache") == sha256_name(name.encode())


def test_a_cache_that_cannot_be_written_costs_a_read_each_time(tmp_path: Path) -> None:
    cache, file, reads = tmp_path / "cache", tmp_path / "model.gguf", list[int]()
    cache.write_text("not a folder")
    file.write_bytes(CONTENT)
    for _ in range(2):
        assert file_checksum(file, cache, reads.append) == sha256_name(CONTENT)
    assert len(reads) == 2


@pytest.mark.parametrize("name_of", [sha256_name, git_name])
def test_a_file_of_the_hub_is_what_its_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name_of: type[str]
) -> None:
    blob, link = tmp_path / name_of(CONTENT), tmp_path / "model.gguf"
    blob.write_bytes(CONTENT)
    link.symlink_to(blob)
    assert is_named_after_content(link, tmp_path / "cache")
    monkeypatch.setattr(hashlib, "sha1", None)  # neither is read again
    monkeypatch.setattr(digest, "sha256", None)
    assert is_named_after_content(link, tmp_path / "cache")
    monkeypatch.undo()
    assert is_named_after_content(link, tmp_path / "cache", trust_memory=False)
    blob.write_bytes(CONTENT.upper())
    for _ in range(2):
        assert not is_named_after_content(link, tmp_path / "cache")


def test_a_copy_with_another_name_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(CONTENT)
    assert is_named_after_content(tmp_path / "model.gguf", tmp_path / "cache")
