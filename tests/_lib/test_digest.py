from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from entsemble._lib import digest
from entsemble._lib.digest import RememberedChecksums, fingerprint, sha256


def test_the_checksum_of_a_file_is_read_in_parts(tmp_path: Path) -> None:
    content = b"x" * (1 << 20) + b"y"
    (tmp_path / "file").write_bytes(content)
    progress: list[int] = []
    assert sha256(tmp_path / "file", progress.append) == hashlib.sha256(content).hexdigest()
    assert progress == [1 << 20, (1 << 20) + 1]


def test_equal_values_have_the_same_fingerprint_in_any_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": (2, 3)}) == fingerprint({"b": [2, 3], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_values_that_json_cannot_hold_have_no_fingerprint() -> None:
    with pytest.raises(TypeError):
        fingerprint({1, 2})


class TestRememberedChecksums:
    @pytest.fixture(autouse=True)
    def settled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)

    def test_they_last_from_process_to_process(self, tmp_path: Path) -> None:
        memory, file = tmp_path / "memory.json", tmp_path / "file"
        file.write_bytes(b"content")
        checksums = RememberedChecksums(memory)
        assert checksums.sha256(file) == sha256(file)
        checksums.save()
        assert memory.stat().st_mode & 0o077 == 0
        assert str(file) in json.loads(memory.read_text())[1]
        assert RememberedChecksums(memory).sha256(file) == sha256(file)

    def test_a_file_that_just_changed_is_not_remembered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(digest, "_SETTLED_SECONDS", 60.0)
        file = tmp_path / "file"
        file.write_bytes(b"content")
        checksums = RememberedChecksums(tmp_path / "memory.json")
        checksums.sha256(file)
        checksums.save()
        assert not (tmp_path / "memory.json").exists()

    @pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', '{"a": [[1], 2, 3]}', "\xff"])
    def test_a_damaged_memory_is_ignored(self, tmp_path: Path, content: str) -> None:
        memory, file = tmp_path / "memory.json", tmp_path / "file"
        memory.write_text(content, encoding="latin-1")
        file.write_bytes(b"content")
        checksums = RememberedChecksums(memory)
        assert checksums.sha256(file) == sha256(file)
        checksums.save()
        assert [*json.loads(memory.read_text())[1]] == [str(file)]

    def test_a_checksum_that_was_changed_on_the_disk_is_not_believed(self, tmp_path: Path) -> None:
        memory, file = tmp_path / "memory.json", tmp_path / "file"
        file.write_bytes(b"content")
        checksums = RememberedChecksums(memory)
        checksum = checksums.sha256(file)
        checksums.save()
        stored = memory.read_text()
        memory.write_text(stored.replace(checksum, checksum.replace(checksum[0], checksum[1])))
        assert RememberedChecksums(memory).sha256(file) == checksum
        memory.write_text("[" * 100_000)
        assert RememberedChecksums(memory).sha256(file) == checksum

    def test_without_a_folder_to_write_to_nothing_is_remembered(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"content")
        checksums = RememberedChecksums(tmp_path / "missing" / "memory.json")
        assert checksums.sha256(file) == sha256(file)
        checksums.save()
        assert not (tmp_path / "missing").exists()
