from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from entsemble._lib.text import one_line
from entsemble.data.windows import sentence_splitter
from entsemble.pool.leakage import LeakageGuard
from entsemble.pool.naive_bayes import NaiveBayesProposer
from entsemble.pool.word_counts import WordStatistics
from entsemble.prompting.align import find_occurrences
from entsemble.types import Document, LabelSet, Mention
from entsemble.voting.candidates import Candidate
from tests.factories import label_set, sentence

LUND = sentence("we saw Mr Lund", ("Lund", "PER"))
POOL = [
    sentence("Mr Berg saw Acme Corp today", ("Berg", "PER"), ("Acme Corp", "LOC")),
    sentence("Mr Dahl saw the Corp of Oslo today", ("Dahl", "PER"), ("Oslo", "LOC")),
    LUND,
    *(sentence(f"we saw it rain and snow {number}") for number in range(5)),
]


def build_proposer(labels: LabelSet, *documents: Document) -> NaiveBayesProposer:
    return NaiveBayesProposer(WordStatistics(LeakageGuard(documents, sentence_splitter()), labels))


def test_spans_with_the_words_and_context_of_names_are_likely_names(places: LabelSet) -> None:
    proposer = build_proposer(places, *POOL)
    assert proposer.likely_names("then Mr Strand saw Initech Corp today") == ("Strand", "Initech Corp")
    assert proposer.likely_names("we saw it rain") == ()
    assert proposer.likely_names("") == ()


def test_without_names_nothing_is_a_likely_name(places: LabelSet) -> None:
    assert build_proposer(places).likely_names("Mr Strand") == ()


def test_documents_that_equal_the_text_are_not_counted(places: LabelSet) -> None:
    others = [document for document in POOL if document is not LUND]
    expected = build_proposer(places, *others).likely_names(LUND.text)
    assert build_proposer(places, *POOL).likely_names(LUND.text) == expected


def test_a_pool_of_bare_names_has_no_evidence(places: LabelSet) -> None:
    bare_names = [sentence(name, (name, "LOC")) for name in ("Oslo", "Bern", "Rome")]
    assert build_proposer(places, *bare_names).likely_names("we saw it rain") == ()


def test_likely_names_do_not_overlap_and_have_at_most_eight_words(places: LabelSet) -> None:
    long_name = "Aa Bb Cc Dd Ee Ff Gg Hh Ii Jj"
    pool = [sentence(f"{long_name} won {number}", (long_name, "LOC")) for number in range(3)]
    proposer = build_proposer(places, *pool)
    surfaces = proposer.likely_names(f"{long_name} lost")
    assert all(len(surface.split()) <= 8 for surface in surfaces)
    words = " ".join(surfaces).split()
    assert len(words) == len(set(words))


def test_likely_names_are_candidates(places: LabelSet) -> None:
    candidates = build_proposer(places, *POOL).propose("then Mr Strand left", [Candidate("Mr", ("a",))])
    assert candidates == [Candidate("Mr", ("a",)), Candidate("Strand", ("naive_bayes",))]


@given(st.text(alphabet="aB1.\u0301\u0915\u093f \u4eac\u0e01\u0e34-", max_size=30), st.integers(0, 2**30))
def test_likely_names_occur_in_the_text(text: str, seed: int) -> None:
    generator = random.Random(seed)
    pool = []
    for index, words in enumerate([text.split(), ["Ann", "ate"], ["a", "B1"]]):
        line = " ".join(words)
        start, end = sorted(generator.sample(range(len(line) + 1), 2)) if line else (0, 0)
        mentions = (Mention(start, end, "LOC", line[start:end]),) if start < end else ()
        pool.append(Document(str(index), line, mentions))
    other_text = f"x {text} y"
    surfaces = build_proposer(label_set("PER", "LOC"), *pool).likely_names(other_text)
    assert all(find_occurrences(one_line(other_text), surface) for surface in surfaces)
