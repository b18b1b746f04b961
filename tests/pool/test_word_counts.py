from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble._lib.text import one_line
from entsemble.data.windows import sentence_splitter
from entsemble.pool.neighbours import NeighbourIndex
from entsemble.pool.word_counts import PLACES, WordFeatures, WordStatistics
from entsemble.prompting.align import find_occurrences
from entsemble.prompting.labels import label_set
from entsemble.scoring.features import WORD_FEATURES, FeatureExtractor
from entsemble.types import NONE_LABEL, Document, LabelSet, Mention, Span
from entsemble.voting.rules import Ballot, soft_vote
from tests.factories import sentence

SPLIT = sentence_splitter()


POOL = [
    sentence("Mr Berg saw Acme Corp today", ("Berg", "PER"), ("Acme Corp", "LOC")),
    sentence("Mr Dahl saw the Corp of Oslo today", ("Dahl", "PER"), ("Oslo", "LOC")),
    sentence("we saw Mr Lund", ("Lund", "PER")),
]


def at(text: str, surface: str) -> Span:
    """Its first place in the text."""
    return find_occurrences(one_line(text), surface)[0]


def of(wording: WordStatistics, text: str, surface: str) -> WordFeatures:
    [told] = wording.features_for(text, [at(text, surface)])
    assert told is not None
    return told


def lifts(told: WordFeatures) -> dict[str, float]:
    return dict(zip(PLACES, told.lifts, strict=True))


def odds(share: float) -> float:
    return math.log(share / (1 - share))


def test_words_tell_where_a_name_begins_and_ends(places: LabelSet) -> None:
    wording = WordStatistics(POOL, places, SPLIT)
    right, long = of(wording, "then Mr Strand left", "Strand"), of(wording, "then Mr Strand left", "Mr Strand")
    assert lifts(right)["before"] > lifts(long)["before"], "a title stands before names"
    assert lifts(right)["first"] > lifts(long)["first"], "and begins none"
    told = of(wording, "they own Initech Corp now", "Initech Corp")
    assert lifts(told)["last"] > 0 > lifts(of(wording, "they saw it", "saw"))["last"]


def test_a_share_is_of_the_times_that_a_word_is_seen_and_held_by_those_like_it(places: LabelSet) -> None:
    pool = [sentence("12 Oslo 34", ("Oslo", "LOC")), sentence("12 , 34")]
    told = of(WordStatistics(pool, places, SPLIT), "12 fell", "12")
    usual = 1 / 6
    by_looks = (0 + 4 * usual) / (4 + 4)  # none of the four figures begins a name
    share = (0 + 4 * (0 + 4 * by_looks) / (4 + 4)) / (2 + 4)
    assert lifts(told)["first"] == pytest.approx(odds(share) - odds(usual))


def test_what_stands_around_a_name_tells_its_label(places: LabelSet) -> None:
    wording = WordStatistics(POOL, places, SPLIT)
    person, town = of(wording, "then Mr Strand left", "Strand"), of(wording, "the town of Molde rose", "Molde")
    assert person.label_log_ratios["PER"] > 0 > person.label_log_ratios["LOC"]
    assert town.label_log_ratios["LOC"] > 0 > town.label_log_ratios["PER"]
    assert set(person.label_log_ratios) == {"PER", "LOC"}


def test_of_a_word_never_seen_those_that_look_and_end_alike_tell(places: LabelSet) -> None:
    pool = [sentence(f"take {drug} daily", (drug, "LOC")) for drug in ("ibuprofen", "ketoprofen", "naproxen")]
    wording = WordStatistics([*pool, sentence("take bread daily")], places, SPLIT)
    drug, food = of(wording, "take fenoprofen daily", "fenoprofen"), of(wording, "take cereals daily", "cereals")
    assert drug.unseen_share == food.unseen_share == 1
    assert lifts(drug)["last"] > lifts(food)["last"]
    assert of(wording, "they take bread", "take bread").unseen_share == 0
    assert of(wording, "take stale bread", "stale bread").unseen_share == 0.5


@pytest.mark.parametrize(
    ("one", "other", "alike"),
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
def test_what_looks_alike(one: str, other: str, alike: bool, places: LabelSet) -> None:
    wording = WordStatistics(
        [sentence(f"so {one} fell", (one, "LOC")), sentence("so it goes on and on")], places, SPLIT
    )
    told = of(wording, f"whereas {other} rose", other)
    unlike = of(wording, "whereas § rose", "§")
    assert (lifts(told)["last"] > lifts(unlike)["last"]) is alike


def test_each_place_is_told_by_what_stands_around_it(places: LabelSet) -> None:
    text = "Mr Strand saw Strand"
    one, two = WordStatistics(POOL, places, SPLIT).features_for(text, [Span(3, 9), Span(14, 20)])
    assert one == of(WordStatistics(POOL, places, SPLIT), "Mr Strand saw it", "Strand")
    assert one is not None
    assert two is not None
    assert lifts(one)["before"] > lifts(two)["before"]


def test_what_a_text_itself_told_the_pool_is_left_out(places: LabelSet) -> None:
    for own in POOL:
        rest = WordStatistics([d for d in POOL if d is not own], places, SPLIT)
        for mention in own.mentions:
            assert WordStatistics(POOL, places, SPLIT).features_for(own.text, [mention.span]) == rest.features_for(
                own.text, [mention.span]
            )
    twice = WordStatistics([*POOL, POOL[0]], places, SPLIT)
    text = POOL[0].text
    assert of(twice, text, "Berg") == of(WordStatistics(POOL[1:], places, SPLIT), text, "Berg")
    assert WordStatistics(POOL[:1], places, SPLIT).features_for(text, [at(text, "Berg"), at(text, "Mr")]) == [
        None,
        None,
    ]


def test_a_line_break_within_a_text_is_a_blank(places: LabelSet) -> None:
    broken = [
        sentence(d.text.replace(" ", "\n"), *((m.text.replace(" ", "\n"), m.label) for m in d.mentions)) for d in POOL
    ]
    alike = of(WordStatistics(POOL, places, SPLIT), "then Mr Strand", "Strand")
    assert of(WordStatistics(broken, places, SPLIT), "then\nMr Strand", "Strand") == alike


def test_without_names_nothing_is_told(places: LabelSet) -> None:
    for pool in ([], [sentence("it rained")]):
        assert WordStatistics(pool, places, SPLIT).features_for("Oslo rain", [Span(0, 4), Span(5, 9)]) == [None, None]
    assert WordStatistics(POOL, places, SPLIT).features_for("Oslo", []) == []
    assert WordStatistics(POOL, places, SPLIT).features_for("Oslo - Bern", [Span(4, 5)]) == [None], (
        "a blank has no words"
    )


def test_mentions_that_begin_or_end_within_a_word_have_a_part_of_it(places: LabelSet) -> None:
    text = "the Osloregion grew"
    pool = [Document("1", text, (Mention(4, 8, "LOC", "Oslo"),)), sentence("so it goes")]
    told = of(WordStatistics(pool, places, SPLIT), "an Osloregion", "Osloregion")
    assert lifts(told)["first"] > 0
    assert told.unseen_share == 0


def test_words_of_scripts_without_blanks_are_characters(places: LabelSet) -> None:
    pool = [sentence("在北京市看", ("北京市", "LOC")), sentence("在上海市住", ("上海市", "LOC")), sentence("他看书了")]
    wording = WordStatistics(pool, places, SPLIT)
    assert lifts(of(wording, "在广州市吃", "广州市"))["last"] > lifts(of(wording, "在广州市吃", "广州"))["last"]


def test_as_evidence_they_are_lifts_and_a_label_that_the_pool_lacks_has_none(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("Mr Berg won", ("Berg", "PER")), sentence("it rained")]
    told = FeatureExtractor(
        ("a",),
        places,
        None,
        NeighbourIndex(pool, places, trigrams, trigrams, SPLIT),
        WordStatistics(pool, places, SPLIT),
    )
    vote = soft_vote([Ballot("a", {"LOC": -1.0, "PER": -1.0, NONE_LABEL: -1.0}, exact=True, is_proposer=True)])
    [own] = told.extract("Mr Dahl won", {Span(3, 7): vote})
    columns = [told.feature_names.index(name) for name in WORD_FEATURES]
    by_label = {name: own[i][columns].tolist() for i, name in enumerate(places.names)}
    assert by_label["LOC"] == pytest.approx([*[math.nan] * 5, 1.0, 0.0], nan_ok=True)
    worded = of(WordStatistics(pool, places, SPLIT), "Mr Dahl won", "Dahl")
    assert by_label["PER"][:4] == list(worded.lifts)
    assert by_label["PER"][4:] == [0.0, 1.0, 0.0], "one label alone cannot be told from others"


def test_spans_are_likely_whose_words_stand_as_those_of_names(places: LabelSet) -> None:
    pool = [*POOL, *(sentence(f"we saw it rain and snow {i}") for i in range(5))]
    wording = WordStatistics(pool, places, SPLIT)
    assert wording.likely_spans("then Mr Strand saw Initech Corp today") == ("Strand", "Initech Corp")
    assert wording.likely_spans("we saw it rain") == wording.likely_spans("") == ()
    assert WordStatistics([], places, SPLIT).likely_spans("Mr Strand") == ()
    assert wording.likely_spans(POOL[2].text) == WordStatistics(
        [d for d in pool if d is not POOL[2]], places, SPLIT
    ).likely_spans(POOL[2].text)


def test_a_mention_without_a_word_teaches_nothing(places: LabelSet) -> None:
    blank = Document("b", "so it  goes", (Mention(5, 7, "LOC", "  "),))
    assert WordStatistics([blank], places, SPLIT).features_for("Oslo", [Span(0, 4)]) == [None]
    assert WordStatistics([blank, POOL[2]], places, SPLIT).features_for("the Oslo", [Span(4, 8)]) != [None]
    assert WordStatistics([blank, POOL[2]], places, SPLIT).features_for(POOL[2].text, [at(POOL[2].text, "Lund")]) == [
        None
    ]


def test_in_a_pool_of_bare_names_no_word_is_likelier_than_another(places: LabelSet) -> None:
    bare = [sentence(name, (name, "LOC")) for name in ("Oslo", "Bern", "Rome")]
    assert WordStatistics(bare, places, SPLIT).likely_spans("we saw it rain") == ()


@given(st.text(alphabet="aB1.\u0301\u0915\u093f \u4eac\u0e01\u0e34-", max_size=30), st.integers(0, 2**30))
def test_what_is_likely_stands_in_the_text(text: str, seed: int) -> None:
    labels = label_set({"PER": "", "LOC": ""})
    draw = random.Random(seed)
    pool = []
    for i, words in enumerate([text.split(), ["Ann", "ate"], ["a", "B1"]]):
        line = " ".join(words)
        start, end = sorted(draw.sample(range(len(line) + 1), 2)) if line else (0, 0)
        mentions = (Mention(start, end, "LOC", line[start:end]),) if start < end else ()
        pool.append(Document(str(i), line, mentions))
    other = f"x {text} y"
    assert all(
        find_occurrences(one_line(other), surface)
        for surface in WordStatistics(pool, labels, SPLIT).likely_spans(other)
    )


def test_words_between_the_ends_speak_against_a_name_that_never_holds_them(places: LabelSet) -> None:
    name = "Bank of Oslo"
    pool = [*POOL, sentence(f"the {name} fell", (name, "LOC"))]
    wording = WordStatistics(pool, places, SPLIT)
    text = "Strand saw Initech Corp, the Bank of Molde"
    assert of(wording, text, "Strand saw Initech Corp").inner_lift < of(wording, text, "Bank of Molde").inner_lift <= 0
    assert of(wording, text, "Initech Corp").inner_lift == 0


def test_of_likely_spans_none_overlap_and_none_is_too_long(places: LabelSet) -> None:
    name = "Aa Bb Cc Dd Ee Ff Gg Hh Ii Jj"
    wording = WordStatistics([sentence(f"{name} won {i}", (name, "LOC")) for i in range(3)], places, SPLIT)
    found = wording.likely_spans("Aa Bb Cc Dd Ee Ff Gg Hh Ii Jj lost")
    assert all(len(surface.split()) <= 8 for surface in found)
    words = " ".join(found).split()
    assert len(words) == len(set(words))
