from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entsemble._lib.text import same_text_key
from entsemble.pool.answers import PoolAnswers
from entsemble.pool.leakage import LeakageGuard
from entsemble.types import Document, Span, mention_at


def sentence(name: str, text: str, *mentions: tuple[str, str]) -> Document:
    placed = [(text.index(surface), surface, label) for surface, label in mentions]
    return Document(name, text, tuple(mention_at(text, at, at + len(surface), label) for at, surface, label in placed))


def answers(*documents: Document, excluded: tuple[int, ...] = ()) -> PoolAnswers:
    return PoolAnswers(LeakageGuard(documents, lambda text: [text]), excluded)


LETTER = sentence("letter", "Ann Lee left Oslo.", ("Ann Lee", "person"), ("Oslo", "location"))


def found(pool: PoolAnswers, text: str) -> list[tuple[str, str]] | None:
    answer = pool.find(text)
    return None if answer is None else [(span.slice(text), label) for span, label in answer.spans]


def test_a_sentence_of_the_pool_has_its_mentions() -> None:
    pool = answers(LETTER, sentence("other", "Nobody slept."))
    assert found(pool, LETTER.text) == [("Ann Lee", "person"), ("Oslo", "location")]
    assert found(pool, "Nobody slept.") == []
    assert found(pool, "Ann Lee left Bergen.") is None
    answer = pool.find(LETTER.text)
    assert answer is not None
    assert answer.source == "letter"
    assert pool.labels == {"person", "location"}


def test_offsets_are_those_of_the_asked_text() -> None:
    assert found(answers(LETTER), "  ANN\n\tLEE left   Oslo .") == [("ANN\n\tLEE", "person"), ("Oslo", "location")]
    street = sentence("street", "Die Straße der Weiß.", ("Straße", "location"), ("Weiß", "person"))
    assert found(answers(street), "Die STRASSE der WEISS.") == [("STRASSE", "location"), ("WEISS", "person")]


def test_a_sentence_that_is_annotated_in_two_ways_has_no_answer() -> None:
    other = sentence("again", "Ann Lee left  Oslo.", ("Ann Lee", "person"))
    same = sentence("copy", "ann lee left oslo.", ("ann lee", "person"), ("oslo", "location"))
    assert found(answers(LETTER, other), LETTER.text) is None
    assert found(answers(LETTER, same), LETTER.text) == [("Ann Lee", "person"), ("Oslo", "location")]


def test_a_sentence_that_is_scored_has_no_answer() -> None:
    copy = sentence("copy", LETTER.text.upper(), ("ANN LEE", "person"), ("OSLO", "location"))
    assert found(answers(LETTER, excluded=(0,)), LETTER.text) is None
    assert found(answers(LETTER, copy, excluded=(1,)), LETTER.text) is None, "nor by a copy of it"


@given(st.text("aß İx", min_size=1), st.data())
def test_any_spacing_and_case_keeps_the_characters(text: str, data: st.DataObject) -> None:
    inked = [offset for offset, character in enumerate(text) if not character.isspace()]
    if not inked:
        return
    first, last = sorted((data.draw(st.sampled_from(inked)), data.draw(st.sampled_from(inked))))
    document = Document("one", text, (mention_at(text, first, last + 1, "x"),))
    spread = "".join(f" {character}" if data.draw(st.booleans()) else character for character in text)
    answer = answers(document).find(spread)
    assert answer is not None
    [(span, label)] = answer.spans
    assert label == "x"
    assert same_text_key(span.slice(spread)) == same_text_key(text[first : last + 1])
    assert isinstance(span, Span)
