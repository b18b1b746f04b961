"""Files and folders that the user may not read: each is named, and the others are read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from entsemble.data.formats import read
from entsemble.errors import DataError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
_NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in a place that everyone can enter, as a user who is not allowed everything."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.chown(path, _NOBODY, _NOBODY)
            os.seteuid(_NOBODY)
        yield path
    finally:
        if is_root:
            os.seteuid(0)
        for below in [path, *path.rglob("*")]:
            below.chmod(0o700)
        shutil.rmtree(path)


def _forbidden(folder: Path) -> dict[str, str]:
    """Things in a folder that cannot be read, with the errors that are expected."""
    (folder / "secret.txt").write_text("Ann")
    for name in ("closed", "no-names", "only-names"):
        (folder / name).mkdir()
        (folder / name / "a.txt").write_text("Ann")
    for name, mode in {"secret.txt": 0, "closed": 0, "no-names": 0o311, "only-names": 0o444}.items():
        (folder / name).chmod(mode)
    return {
        "secret.txt": "cannot be read",
        "closed": "cannot be listed",
        "no-names": "cannot be listed",
        "only-names/a.txt": "cannot be read",
    }


def test_what_cannot_be_read_in_a_folder_is_named_and_the_rest_is_read(folder: Path) -> None:
    expected = _forbidden(folder)
    (folder / "open.txt").write_text("Ann met Bob.")
    errors: list[DataError] = []
    documents = list(read(folder, on_error=errors.append))
    assert [(document.id, document.text) for document in documents] == [("open.txt", "Ann met Bob.")]
    problems = {str(error.path): error.problem for error in errors}
    assert problems == {
        str(folder / name): f"{problem}: Permission denied; check the {'path' if 'read' in problem else 'permissions'}"
        for name, problem in expected.items()
    }


def test_what_cannot_be_read_itself_is_named_once_and_the_rest_is_read(folder: Path) -> None:
    _forbidden(folder)
    (folder / "open.txt").write_text("Ann met Bob.")
    names = ["secret.txt", "closed", "no-names", "only-names", "only-names/a.txt", "open.txt"]
    errors: list[DataError] = []
    documents = list(read([folder / name for name in names], on_error=errors.append))
    assert [document.text for document in documents] == ["Ann met Bob."]
    assert [str(error.path) for error in errors] == [
        str(folder / name) for name in ("secret.txt", "closed", "no-names", "only-names", "only-names/a.txt")
    ]
    assert all("Permission denied" in error.problem for error in errors)


@pytest.mark.parametrize("name", ["secret.txt", "closed", "no-names", "only-names", "only-names/a.txt"])
def test_without_anyone_to_tell_it_is_an_error_of_ours(name: str, folder: Path) -> None:
    _forbidden(folder)
    with pytest.raises(DataError, match="Permission denied; check the"):
        list(read(folder / name))
