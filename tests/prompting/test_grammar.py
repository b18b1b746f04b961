from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entsemble.prompting.grammar import build_listing_grammar
from entsemble.prompting.template import load_template

TEMPLATE = load_template("ner-1")
_TOKEN = re.compile(r'"(?P<literal>(?:[^"\\]|\\.)*)"|(?P<rule>[a-z]+\d*)|(?P<operator>[()|?*])|\s+')
_ESCAPE = re.compile(r"\\(?:u(?P<code>[0-9A-F]{4})|(?P<character>.))")


def unescape(match: re.Match[str]) -> str:
    if match["code"]:
        return chr(int(match["code"], 16))
    return {"n": "\n"}.get(match["character"], match["character"])


def to_regex(grammar: str) -> re.Pattern[str]:
    """The grammar as a regular expression, which is possible since its rules are not recursive."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.split("\n"))

    def translate(match: re.Match[str]) -> str:
        if match["rule"]:
            return f"(?:{_TOKEN.sub(translate, rules[match['rule']])})"
        if match["operator"]:
            return "(?:" if match["operator"] == "(" else match["operator"]
        if match["literal"] is None:
            return ""
        return f"(?:{re.escape(_ESCAPE.sub(unescape, match['literal']))})"

    return re.compile(_TOKEN.sub(translate, rules["root"]))


@pytest.mark.parametrize(
    ("text", "reply", "is_allowed"),
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
def test_a_reply_is_none_or_a_list_of_word_sequences_of_the_text(text: str, reply: str, is_allowed: bool) -> None:
    regex = to_regex(build_listing_grammar(TEMPLATE, text))
    assert bool(regex.fullmatch(reply + "\n")) is is_allowed


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(["Ann", "of", "北京", "e\u0301", '"', "\\", "😀", "a-b", ".", "\u200b"]), min_size=1, max_size=4
    )
)
def test_every_sequence_of_words_may_be_listed(words: list[str]) -> None:
    regex = to_regex(build_listing_grammar(TEMPLATE, " ".join(words)))
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            assert regex.fullmatch(f" {' '.join(words[start:end])}\n"), words[start:end]
    assert not regex.fullmatch(" Bob\n")


def test_the_grammar_grows_linearly_with_the_text() -> None:
    short, long = (len(build_listing_grammar(TEMPLATE, "word " * count)) for count in (100, 200))
    assert long < 2.2 * short
