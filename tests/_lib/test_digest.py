from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from entsemble._lib.digest import fingerprint, sha256


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
