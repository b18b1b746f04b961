from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.data.conll.detokenise import detokenise, spaced, split_marks_of

TOKENS = st.lists(st.one_of(st.text(max_size=4), st.sampled_from([*"\"'()[].,-/@#$%«»“”„", "''", "``", "n't", "你"])))


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("I do n't know , she 's late .", "I don't know, she's late."),
        ('He said " no " ( twice ) !', 'He said "no" (twice)!'),
        ("the dogs ' bowl", "the dogs' bowl"),
        ("Anna ' s cat", "Anna's cat"),
        ("a ' b ' c", "a 'b' c"),
        ("It cost $ 5 , or 5 % more ...", "It cost $5, or 5% more..."),
        ("你 好 ， 世 界 。", "你好，世界。"),
        ("Er sagte „ ja “ .", "Er sagte „ja“."),
        ("He said `` no '' .", "He said ``no''."),
        ("¿ Qué ?", "¿Qué?"),
        ("a dash - here", "a dash - here"),
    ],
)
def test_spacing(tokens: str, text: str) -> None:
    assert detokenise(tokens.split())[0] == text


@given(TOKENS, st.sets(st.sampled_from("-/@#")))
def test_each_token_is_where_it_says(tokens: list[str], marks: set[str]) -> None:
    for text, places in (detokenise(tokens, split_marks=frozenset(marks)), spaced(tokens)):
        assert [p.slice(text) if p else "" for p in places] == [t.strip() for t in tokens]
        covered = "".join(p.slice(text) for p in places if p)
        assert covered.replace(" ", "") == text.replace(" ", "")


def test_blank_tokens_have_no_place() -> None:
    assert spaced(["a", " ", "", "b "])[0] == "a b"
    assert detokenise(["", "a", "\u3000"])[1][0] is None


def test_zero_width_tokens_are_kept() -> None:
    assert spaced(["a", "\u200b", "b"])[0] == "a \u200b b"


def test_split_marks_are_joined_again() -> None:
    tokens = [t for _ in range(12) for t in ("IL", "-", "4", "and", "so")]
    marks = split_marks_of(tokens)
    assert marks == {"-"}
    assert detokenise(["IL", "-", "4", "rises", "-", "not"], split_marks=marks)[0] == "IL-4 rises-not"
    assert split_marks_of([*tokens, "well-known"]) == frozenset()
    tweet = ["@", "someone", "says", "#", "hi"]
    assert detokenise(tweet, split_marks=frozenset("@#"))[0] == "@someone says #hi"


def test_words_cut_into_characters_are_joined() -> None:
    text, places = detokenise(list("用iOS看"), [False, False, True, True, False])
    assert text == "用iOS看"
    assert all(places)
