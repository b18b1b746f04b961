from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble._lib.text import is_symbol, is_unspaced, message_line, one_line, word_spans


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Oslo, NATO-led 3.5", ["Oslo", ",", "NATO", "-", "led", "3", ".", "5"]),
        ("snake_case \u00e9t\u00e9_1", ["snake_case", "\u00e9t\u00e9_1"]),
        ("\u5317\u4eac2\u5e74", ["\u5317", "\u4eac", "2", "\u5e74"]),
        ("Ile\u0301-If\u1eb9\u0300 ok", ["Ile\u0301", "-", "If\u1eb9\u0300", "ok"]),
        ("\u0915\u094b\u0932\u0915\u093e\u0924\u093e", ["\u0915\u094b\u0932\u0915\u093e\u0924\u093e"]),
        ("\u0e01\u0e34\u0e19", ["\u0e01\u0e34", "\u0e19"]),
        ("\u0301a", ["\u0301", "a"]),
        ("👩\u200d🚀Ann 👩🏽\u200d🚀 Ann👍🏽", ["👩\u200d🚀", "Ann", "👩🏽\u200d🚀", "Ann", "👍🏽"]),
        ("❤\ufe0fAnn 1\ufe0f\u20e3Ann ❤\ufe0f\u200d🔥", ["❤\ufe0f", "Ann", "1\ufe0f\u20e3", "Ann", "❤\ufe0f\u200d🔥"]),
        ("🇳🇴🇸🇪Oslo🚀🚀", ["🇳🇴", "🇸🇪", "Oslo", "🚀", "🚀"]),
        ("\u200bAnn\u2060", ["\u200b", "Ann", "\u2060"]),
        ("", []),
    ],
)
def test_words_of_any_script(text: str, words: list[str]) -> None:
    assert [span.slice(text) for span in word_spans(text)] == words


@pytest.mark.parametrize("word", ["👩\u200d🚀", "❤\ufe0f", "🇳🇴", "👍🏽", "\u200b", "\u200d", "\u2060", "\ufeff"])
def test_emoji_and_what_is_not_seen_are_no_words_to_read(word: str) -> None:
    assert is_symbol(word)


@pytest.mark.parametrize(
    "word",
    ["a", "1", "@", "^", "$", "€", "é", "中", "\u0915\u094b", "1\ufe0f\u20e3", "\u201c", "–", "°", "©", "™", "№", "℃"],
)
def test_letters_digits_punctuation_and_currencies_are_words_to_read(word: str) -> None:
    assert not is_symbol(word)


@given(st.text(alphabet="aB1_. \u0301\u0915\u093f\u4eac\u0e01\u0e34\u00e9", max_size=20))
def test_words_cover_all_but_whitespace_and_keep_their_combining_marks(text: str) -> None:
    spans = word_spans(text)
    assert "".join(span.slice(text) for span in spans) == "".join(text.split())
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert not any(a.end == b.start and text[b.start] == "\u0301" for a, b in pairwise(spans))


@given(st.text())
def test_one_line_replaces_line_breaks_and_keeps_offsets(text: str) -> None:
    line = one_line(text)
    assert len(line) == len(text)
    assert len(line.splitlines()) <= 1
    assert all(old == new or (old.isspace() and new == " ") for old, new in zip(text, line, strict=True))


@pytest.mark.parametrize(
    ("character", "expected"), [("中", True), ("か", True), ("ไ", True), ("a", False), ("한", False), ("ع", False)]
)
def test_scripts_without_spaces_between_words(character: str, expected: bool) -> None:
    assert is_unspaced(character) is expected


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (("a\r\nb",), "a  b"),
        (("\x1b[2J", ValueError("\x07")), "\\x1b[2J: \\x07"),
        (("gpj\u202e.txt",), "gpj\\u202e.txt"),
        (("\udcff", "Zürich 東京 😀"), "\\udcff: Zürich 東京 😀"),
    ],
)
def test_a_message_is_one_line_that_a_terminal_shows_as_it_is(parts: tuple[object, ...], line: str) -> None:
    assert message_line(*parts) == line
