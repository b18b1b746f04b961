from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from entsemble._lib.optional import require
from entsemble.errors import MissingExtraError


def test_a_module_is_imported() -> None:
    assert require("json", extra="none", purpose="a test") is json


def test_the_error_names_the_package_the_extra_and_the_purpose() -> None:
    with pytest.raises(MissingExtraError, match=r"a test needs the package 'absent_package'.*entsemble\[extra\]"):
        require("absent_package.module", extra="extra", purpose="a test")


@pytest.mark.parametrize("error", ["ImportError", "OSError"])
def test_a_package_that_is_installed_but_misses_a_library_is_not_said_to_be_missing(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text(f"raise {error}('libgomp.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError) as raised:
        require("broken_package", extra="extra", purpose="a test")
    assert str(raised.value) == (
        "a test needs the package 'broken_package'; it is installed but cannot be loaded "
        "(libgomp.so.1: cannot open shared object file); install what it misses, or repair the package"
    )
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
