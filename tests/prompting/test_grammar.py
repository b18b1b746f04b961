from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entsemble.prompting.grammar import build_listing_grammar
from entsemble.prompting.template import load_template

SHAPE = load_template("ner-1")
_PARTS = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"|(?P<rule>[a-z]+\d*)|(?P<mark>[()|?*])|\s+')
_ESCAPE = re.compile(r"\\(?:u(?P<code>[0-9A-F]{4})|(?P<one>.))")


def escaped(found: re.Match[str]) -> str:
    return chr(int(found["code"], 16)) if found["code"] else {"n": "\n"}.get(found["one"], found["one"])


def as_pattern(grammar: str) -> re.Pattern[str]:
    """The grammar as a regular expression; its rules call later ones alone."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.split("\n"))

    def part(found: re.Match[str]) -> str:
        if found["rule"]:
            return f"(?:{_PARTS.sub(part, rules[found['rule']])})"
        if found["mark"]:
            return "(?:" if found["mark"] == "(" else found["mark"]
        if found["text"] is None:
            return ""
        return f"(?:{re.escape(_ESCAPE.sub(escaped, found['text']))})"

    return re.compile(_PARTS.sub(part, rules["root"]))


def allows(text: str, listed: str) -> bool:
    return as_pattern(build_listing_grammar(SHAPE, text)).fullmatch(listed + "\n") is not None


@pytest.mark.parametrize(
    ("text", "listed", "allowed"),
    [
        ("Ann left New York.", " none", True),
        ("Ann left New York.", " Ann", True),
        ("Ann left New York.", " Ann | New York | York", True),
        ("Ann left New York.", " New York.", True),
        ("Ann left New York.", " New  York", False),
        ("Ann left New York.", " Anna", False),
        ("Ann left New York.", " An", False),
        ("Ann left New York.", " ann", False),
        ("Ann left New York.", " Ann New", False),
        ("Ann left New York.", "", False),
        ("Ann left New York.", " Ann |", False),
        ("New\nYork", " New York", True),
        ("在北京大学", " 北京", True),
        ("在北京大学", " 京北", False),
        ('say "hi" \\', ' "hi"', True),
        ('say "hi" \\', " \\", True),
        ("a\tb", " a\tb", True),
        ("😀 Zoë", " Zoë", True),
        (" \n", " none", True),
        ("", " Ann", False),
    ],
)
def test_what_may_be_listed(text: str, listed: str, allowed: bool) -> None:
    assert allows(text, listed) is allowed


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(["Ann", "of", "北京", "e\u0301", '"', "\\", "😀", "a-b", ".", "\u200b"]), min_size=1, max_size=4
    )
)
def test_every_run_of_words_may_be_listed(words: list[str]) -> None:
    text = " ".join(words)
    pattern = as_pattern(build_listing_grammar(SHAPE, text))
    for i in range(len(words)):
        for j in range(i + 1, len(words) + 1):
            assert pattern.fullmatch(f" {' '.join(words[i:j])}\n"), words[i:j]
    assert not pattern.fullmatch(" Bob\n")


def test_the_grammar_grows_with_the_text_alone() -> None:
    short, long = (len(build_listing_grammar(SHAPE, "word " * n)) for n in (100, 200))
    assert long < 2.2 * short
