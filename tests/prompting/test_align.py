from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.prompting.align import find_exactly, find_occurrences
from entsemble.types import Span

WHITESPACE = re.compile(r"[\s\u200b\u200c\u200d\u2060\ufeff\u200e\u200f]+")
ALPHABET = "aAbB1 \t\n.-é\u0301\u200b\u200dтТ中文คשא\u200fمد😀"


EXAMPLES = [
    # exact, repeated, whole words
    ("Ann met Ann", "Ann", [(0, 3), (8, 11)]),
    ("MI in the family; MI again", "MI", [(0, 2), (18, 20)]),
    ("family", "MI", []),
    ("Annan and Ann's Ann-Marie", "Ann", [(10, 13), (16, 19)]),
    ("route 66, not 660", "66", [(6, 8)]),
    ("C++ and C++17", "C++", [(0, 3), (8, 11)]),
    ("a (b) c", "(b)", [(2, 5)]),
    ("what.ever", "what ever", []),
    ("Oslo", "  Oslo ", [(0, 4)]),
    ("Oslo", "", []),
    ("Oslo", "   ", []),
    ("Oslo", "Bergen", []),
    ("xna na na", "na na", [(4, 9)]),
    ("na na na", "na na", [(0, 5)]),
    # whitespace between words
    ("New  York, New\nYork and New\u00a0York", "New York", [(0, 9), (11, 19), (24, 32)]),
    ("New York and New  York", "New York", [(0, 8)]),
    ("Newyork", "New York", []),
    ("Ann\u200b Lee", "Ann Lee", [(0, 8)]),
    ("به خانه\u200cها رفت", "خانه ها", [(3, 10)]),
    # any case as a last resort
    ("OSLO and oslo", "Oslo", [(0, 4), (9, 13)]),
    ("OSLO and Oslo", "Oslo", [(9, 13)]),
    ("the ÉCOLE", "école", [(4, 9)]),
    ("NEW\tYORK", "new york", [(0, 8)]),
    # scripts without spaces
    ("我在北京大学学习", "北京大学", [(2, 6)]),
    ("北京和北京", "北京", [(0, 2), (3, 5)]),
    ("私はIBMで働く", "IBM", [(2, 5)]),
    ("ฉันอยู่กรุงเทพ", "กรุงเทพ", [(7, 14)]),
    # right to left
    ("זה ירושלים.", "ירושלים", [(3, 10)]),
    ("في القاهرة وباريس", "القاهرة", [(3, 10)]),
    ("في القاهرة وباريس", "باريس", []),
    ("\u200fשלום\u200f", "שלום", [(1, 5)]),
    # characters of several code points
    ("😀 Oslo 😀", "Oslo", [(2, 6)]),
    ("Oslo😀Bergen", "Bergen", [(5, 11)]),
    ("👩\u200d🚀 Ann", "Ann", [(4, 7)]),
    ("e\u0301 cole", "e", []),
    ("Jose\u0301 and Jose", "Jose", [(10, 14)]),
    ("Jose\u0301", "Jose\u0301", [(0, 5)]),
    ("Cafe\u0301s, cafe\u0301 and Cafe\u0301", "Cafe\u0301", [(18, 23)]),
    ("Cafe\u0301s", "Cafe\u0301", []),
    ("Cafe\u0301\u0327s", "Cafe\u0301\u0327", []),
    ("रामायण", "रामा", []),
    ("\u0301s", "\u0301", [(0, 1)]),
    # zero-width characters inside a word
    ("Os\u200blo is far", "Oslo", [(0, 5)]),
    ("Oslo is far", "Os\u200blo", [(0, 4)]),
]


@pytest.mark.parametrize(("text", "surface", "spans"), EXAMPLES)
def test_occurrences_of_a_surface(text: str, surface: str, spans: list[tuple[int, int]]) -> None:
    assert find_occurrences(text, surface) == [Span(*span) for span in spans]


def normalise(text: str) -> str:
    return WHITESPACE.sub(" ", text).strip().casefold()


@given(st.text(ALPHABET, max_size=30), st.data())
def test_occurrences_equal_the_surface_but_for_case_and_whitespace_and_never_overlap(
    text: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text)))
    slices = st.integers(start, min(len(text), start + 6)).map(lambda end: text[start:end])
    surface = data.draw(st.one_of(slices, slices.map(str.swapcase), st.text(ALPHABET, max_size=5)))
    spans = find_occurrences(text, surface)
    assert all(normalise(span.slice(text)) == normalise(surface) for span in spans)
    assert all(span.end <= following.start for span, following in pairwise(spans))
    exact = [span for span in spans if span.slice(text) == surface.strip()]
    assert not exact or exact == spans, "other spellings are a last resort"


@given(st.lists(st.sampled_from(["Ann", "ann", "Lee", "of", "Üb", "д"]), min_size=1, max_size=8), st.data())
def test_every_occurrence_of_a_word_is_found(words: list[str], data: st.DataObject) -> None:
    text, word = " ".join(words), data.draw(st.sampled_from(words))
    assert [span.slice(text) for span in find_occurrences(text, word)] == [word] * words.count(word)


@given(st.text(ALPHABET, max_size=20), st.text(ALPHABET, max_size=6))
def test_the_text_of_an_occurrence_is_found_again(text: str, surface: str) -> None:
    for span in find_occurrences(text, surface):
        assert find_occurrences(text, span.slice(text))


@pytest.mark.parametrize(
    ("text", "surface", "starts"),
    [("Ann, ANN and Anna, Ann", "Ann", [0, 19]), ("a a a", "a a", [0]), ("aab ab", "ab", [4]), ("Ann", "", [])],
)
def test_exact_occurrences_are_whole_words_and_do_not_overlap(text: str, surface: str, starts: list[int]) -> None:
    assert find_exactly(text, surface) == [Span(start, start + len(surface)) for start in starts]
