"""Word statistics: lifts, back-off and leakage."""

from __future__ import annotations

import pytest

from entsemble._lib.math import logit
from entsemble._lib.text import one_line
from entsemble.data.windows import sentence_splitter
from entsemble.pool.leakage import LeakageGuard
from entsemble.pool.word_counts import POSITIONS, WordFeatures, WordStatistics
from entsemble.prompting.align import find_occurrences
from entsemble.types import Document, LabelSet, Mention, Span
from tests.factories import sentence

POOL = [
    sentence("Mr Berg saw Acme Corp today", ("Berg", "PER"), ("Acme Corp", "LOC")),
    sentence("Mr Dahl saw the Corp of Oslo today", ("Dahl", "PER"), ("Oslo", "LOC")),
    sentence("we saw Mr Lund", ("Lund", "PER")),
]


def word_statistics(labels: LabelSet, *documents: Document) -> WordStatistics:
    return WordStatistics(LeakageGuard(documents, sentence_splitter()), labels)


def first_span(text: str, surface: str) -> Span:
    return find_occurrences(one_line(text), surface)[0]


def features(words: WordStatistics, text: str, surface: str) -> WordFeatures:
    [word_features] = words.features_for(text, [first_span(text, surface)])
    assert word_features is not None
    return word_features


def lifts(words: WordStatistics, text: str, surface: str) -> dict[str, float]:
    return dict(zip(POSITIONS, features(words, text, surface).lifts, strict=True))


def test_words_that_start_end_and_surround_names_have_higher_lifts(places: LabelSet) -> None:
    words = word_statistics(places, *POOL)
    name, with_title = lifts(words, "then Mr Strand left", "Strand"), lifts(words, "then Mr Strand left", "Mr Strand")
    assert name["before"] > with_title["before"], "a title precedes names"
    assert name["first"] > with_title["first"], "and starts none"
    assert lifts(words, "they own Initech Corp now", "Initech Corp")["last"] > 0
    assert lifts(words, "they saw it", "saw")["last"] < 0


def test_rates_back_off_to_words_of_the_same_shape(places: LabelSet) -> None:
    words = word_statistics(places, sentence("12 Oslo 34", ("Oslo", "LOC")), sentence("12 , 34"))
    base_rate = 1 / 6
    shape_rate = (0 + 4 * base_rate) / (4 + 4)  # none of the four numbers starts a name
    suffix_rate = (0 + 4 * shape_rate) / (4 + 4)
    rate = (0 + 4 * suffix_rate) / (2 + 4)
    assert lifts(words, "12 fell", "12")["first"] == pytest.approx(logit(rate) - logit(base_rate))


def test_words_around_a_name_are_evidence_of_its_label(places: LabelSet) -> None:
    words = word_statistics(places, *POOL)
    person = features(words, "then Mr Strand left", "Strand").label_log_ratios
    town = features(words, "the town of Molde rose", "Molde").label_log_ratios
    assert person["PER"] > 0 > person["LOC"]
    assert town["LOC"] > 0 > town["PER"]
    assert set(person) == {"PER", "LOC"}


def test_unseen_words_back_off_to_words_of_the_same_shape_and_suffix(places: LabelSet) -> None:
    drugs = ("ibuprofen", "ketoprofen", "naproxen")
    annotated = [sentence(f"take {drug} daily", (drug, "LOC")) for drug in drugs]
    words = word_statistics(places, *annotated, sentence("take bread daily"))
    drug_lifts = lifts(words, "take fenoprofen daily", "fenoprofen")
    food_lifts = lifts(words, "take cereals daily", "cereals")
    assert drug_lifts["last"] > food_lifts["last"]


@pytest.mark.parametrize(
    ("text", "surface", "expected"),
    [
        ("take fenoprofen daily", "fenoprofen", 1),
        ("they take bread", "take bread", 0),
        ("take stale bread", "stale bread", 0.5),
    ],
)
def test_the_share_of_unseen_words(text: str, surface: str, expected: float, places: LabelSet) -> None:
    words = word_statistics(places, sentence("take Oslo daily", ("Oslo", "LOC")), sentence("take bread daily"))
    assert features(words, text, surface).unseen_share == expected


@pytest.mark.parametrize(
    ("pool_word", "text_word", "same_shape"),
    [
        ("Anna", "Bergen", True),
        ("Anna", "anna", False),
        ("NASA", "Nasa", False),
        ("McDonald", "Macdonald", False),
        ("mRNA", "rnam", False),
        ("B2", "C3", True),
        ("12", "345", True),
        ("B2", "12", False),
        (",", ".", False),
    ],
)
def test_words_of_the_same_shape_share_counts(
    pool_word: str, text_word: str, same_shape: bool, places: LabelSet
) -> None:
    words = word_statistics(
        places, sentence(f"so {pool_word} fell", (pool_word, "LOC")), sentence("so it goes on and on")
    )
    word_lifts, unrelated_lifts = lifts(words, f"whereas {text_word} rose", text_word), lifts(words, "is § rose", "§")
    assert (word_lifts["last"] > unrelated_lifts["last"]) is same_shape


def test_each_occurrence_of_a_surface_has_features_of_its_own_context(places: LabelSet) -> None:
    words = word_statistics(places, *POOL)
    with_title, without_title = words.features_for("Mr Strand saw Strand", [Span(3, 9), Span(14, 20)])
    assert with_title == features(words, "Mr Strand saw it", "Strand")
    assert with_title is not None
    assert without_title is not None
    assert with_title.lifts[POSITIONS.index("before")] > without_title.lifts[POSITIONS.index("before")]


def test_documents_that_equal_the_text_are_not_counted(places: LabelSet) -> None:
    for document in POOL:
        others = word_statistics(places, *(other for other in POOL if other is not document))
        for mention in document.mentions:
            assert word_statistics(places, *POOL).features_for(document.text, [mention.span]) == others.features_for(
                document.text, [mention.span]
            )
    text = POOL[0].text
    with_copies = features(word_statistics(places, *POOL, POOL[0]), text, "Berg")
    assert with_copies == features(word_statistics(places, *POOL[1:]), text, "Berg")
    spans = [first_span(text, "Berg"), first_span(text, "Mr")]
    assert word_statistics(places, POOL[0]).features_for(text, spans) == [None, None]


def test_line_breaks_are_whitespace(places: LabelSet) -> None:
    broken = [
        sentence(
            document.text.replace(" ", "\n"),
            *((mention.text.replace(" ", "\n"), mention.label) for mention in document.mentions),
        )
        for document in POOL
    ]
    expected = features(word_statistics(places, *POOL), "then Mr Strand", "Strand")
    assert features(word_statistics(places, *broken), "then\nMr Strand", "Strand") == expected


def test_without_names_or_words_there_are_no_features(places: LabelSet) -> None:
    for pool in ([], [sentence("it rained")]):
        assert word_statistics(places, *pool).features_for("Oslo rain", [Span(0, 4), Span(5, 9)]) == [None, None]
    assert word_statistics(places, *POOL).features_for("Oslo", []) == []
    assert word_statistics(places, *POOL).features_for("Oslo - Bern", [Span(4, 5)]) == [None], "only a space"


def test_a_mention_without_words_is_not_counted(places: LabelSet) -> None:
    blank = Document("b", "so it  goes", (Mention(5, 7, "LOC", "  "),))
    assert word_statistics(places, blank).features_for("Oslo", [Span(0, 4)]) == [None]
    words = word_statistics(places, blank, POOL[2])
    assert words.features_for("the Oslo", [Span(4, 8)]) != [None]
    assert words.features_for(POOL[2].text, [first_span(POOL[2].text, "Lund")]) == [None]


def test_a_mention_within_a_word_counts_the_whole_word(places: LabelSet) -> None:
    pool = [Document("1", "the Osloregion grew", (Mention(4, 8, "LOC", "Oslo"),)), sentence("so it goes")]
    words = word_statistics(places, *pool)
    assert lifts(words, "an Osloregion", "Osloregion")["first"] > 0
    assert features(words, "an Osloregion", "Osloregion").unseen_share == 0


def test_words_of_scripts_without_spaces_are_characters(places: LabelSet) -> None:
    words = word_statistics(
        places,
        sentence("在北京市看", ("北京市", "LOC")),
        sentence("在上海市住", ("上海市", "LOC")),
        sentence("他看书了"),
    )
    assert lifts(words, "在广州市吃", "广州市")["last"] > lifts(words, "在广州市吃", "广州")["last"]


def test_inner_words_that_are_never_within_a_name_lower_the_inner_lift(places: LabelSet) -> None:
    words = word_statistics(places, *POOL, sentence("the Bank of Oslo fell", ("Bank of Oslo", "LOC")))
    text = "Strand saw Initech Corp, the Bank of Molde"
    unlikely, likely = features(words, text, "Strand saw Initech Corp"), features(words, text, "Bank of Molde")
    assert unlikely.inner_lift < likely.inner_lift <= 0
    assert features(words, text, "Initech Corp").inner_lift == 0
