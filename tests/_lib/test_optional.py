from __future__ import annotations

import json

import pytest

from entsemble._lib.optional import require
from entsemble.errors import MissingExtraError


def test_a_module_is_imported() -> None:
    assert require("json", extra="none", purpose="a test") is json


def test_the_error_names_the_package_the_extra_and_the_purpose() -> None:
    with pytest.raises(MissingExtraError, match=r"a test needs the package 'absent_package'.*entsemble\[extra\]"):
        require("absent_package.module", extra="extra", purpose="a test")
