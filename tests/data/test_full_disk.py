"""A disk that is full while a file is written: one error, and nothing is left behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from entsemble.data.format_table import WRITABLE
from entsemble.data.formats import write
from entsemble.errors import DataError, MissingExtraError
from tests.factories import document

resource = pytest.importorskip("resource", reason="Windows has no limit for the size of files")
_LIMIT = 30


@contextmanager
def limited_file_size() -> Iterator[None]:
    """Files of this process cannot grow beyond some bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # Python would keep the truncated bytecode of each module that is imported here
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.dont_write_bytecode = previous


@pytest.mark.skipif(sys.platform == "darwin", reason="libraries end the process there")
@pytest.mark.parametrize("format_name", WRITABLE)
def test_whatever_the_format_it_is_an_error_of_ours(format_name: str, tmp_path: Path) -> None:
    text = "".join(f"Ann{number} met Bob{number * 7919} in Oslo. " for number in range(400))
    documents = [document(text, ("Ann0", "person"), id=f"d{number}") for number in range(3)]
    with limited_file_size(), pytest.raises((DataError, MissingExtraError), match=r"cannot be written|pip install"):
        write(documents, tmp_path / "out", format_name)
    assert [path.name for path in tmp_path.iterdir()] == []
