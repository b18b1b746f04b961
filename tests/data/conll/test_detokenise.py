from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.data.conll.detokenise import detokenise, find_split_punctuation, join_with_spaces

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
def test_spacing_of_natural_text(tokens: str, text: str) -> None:
    assert detokenise(tokens.split())[0] == text


@given(TOKENS, st.sets(st.sampled_from("-/@#")))
def test_each_token_is_at_its_offsets(tokens: list[str], infixes: set[str]) -> None:
    for text, spans in (detokenise(tokens, split_infixes=frozenset(infixes)), join_with_spaces(tokens)):
        assert [span.slice(text) if span else "" for span in spans] == [token.strip() for token in tokens]
        covered = "".join(span.slice(text) for span in spans if span)
        assert covered.replace(" ", "") == text.replace(" ", "")


def test_blank_tokens_have_no_range() -> None:
    assert join_with_spaces(["a", " ", "", "b "])[0] == "a b"
    assert detokenise(["", "a", "\u3000"])[1][0] is None


def test_zero_width_tokens_are_kept() -> None:
    assert join_with_spaces(["a", "\u200b", "b"])[0] == "a \u200b b"


def test_punctuation_that_is_always_split_is_joined_again() -> None:
    tokens = [t for _ in range(12) for t in ("IL", "-", "4", "and", "so")]
    split_infixes = find_split_punctuation(tokens)
    assert split_infixes == {"-"}
    assert detokenise(["IL", "-", "4", "rises", "-", "not"], split_infixes=split_infixes)[0] == "IL-4 rises-not"
    assert find_split_punctuation([*tokens, "well-known"]) == frozenset()
    tweet = ["@", "someone", "says", "#", "hi"]
    assert detokenise(tweet, split_infixes=frozenset("@#"))[0] == "@someone says #hi"


def test_characters_of_one_word_are_joined() -> None:
    text, spans = detokenise(list("用iOS看"), [False, False, True, True, False])
    assert text == "用iOS看"
    assert all(spans)
