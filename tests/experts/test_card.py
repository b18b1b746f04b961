"""The card of an expert."""

from __future__ import annotations

from entsemble.experts.card import combine_licences


def test_each_licence_is_named_once() -> None:
    assert combine_licences(["MIT", "CC-BY-4.0 and MIT"]) == "MIT and CC-BY-4.0"
    assert combine_licences(["unknown"]) == "unknown"
