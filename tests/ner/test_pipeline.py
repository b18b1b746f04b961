from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entsemble.backends.scripted import ScriptedModel
from entsemble.data.windows import sentence_splitter
from entsemble.errors import PromptTooLongError
from entsemble.ner.decision import DecisionRules
from entsemble.ner.ledger import Fate
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.pool.capitalised import CapitalisedProposer
from entsemble.pool.naive_bayes import NaiveBayesProposer
from entsemble.pool.word_counts import WordStatistics
from entsemble.prompting.align import find_occurrences
from entsemble.prompting.labels import label_set
from entsemble.retrieval.index import PoolIndex, encode_pool
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.scoring.model import StackingModel
from entsemble.scoring.scorer import Scorer
from entsemble.types import Choice, Decoding, Document, LabelSet, Reply, Span, mention_at, total_usage
from entsemble.voting.candidates import add_proposals
from entsemble.voting.rules import VOTING_RULES, Verdict

Made = Callable[..., Member]

SPLIT = sentence_splitter()


def rules(vote: str = "soft", threshold: float = 0.3, verifier: str | None = None, shots: int = 3) -> DecisionRules:
    return DecisionRules(VOTING_RULES[vote], threshold, verifier, 0.5, DemonstrationLimits(shots, 800, 1.0))


def found(result: SentenceResult) -> list[tuple[int, int, str]]:
    return [(m.start, m.end, m.label) for m in result.mentions]


def fates(result: SentenceResult) -> dict[str, Fate]:
    return {entry.surface: entry.fate for entry in result.ledger}


def test_the_union_of_what_the_members_find_is_kept_with_its_votes(member: Made, places: LabelSet) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {"Oslo": "location", "Ann": "person"}, confidence=0.95)]
    result = Pipeline(members, places, None, rules()).run("Ann left Oslo.")
    assert found(result) == [(0, 3, "PER"), (9, 13, "LOC")]
    ann, oslo = result.mentions
    assert dict(ann.votes) == {"a": "none", "b": "PER"}
    assert dict(oslo.votes) == {"a": "LOC", "b": "LOC"}
    assert ann.score == pytest.approx((0.05 + 0.95) / 2 * 0.75)
    assert oslo.score == pytest.approx((0.9 + 0.95) / 2)
    assert fates(result) == {"Ann": Fate.KEPT, "Oslo": Fate.KEPT}
    assert next(e for e in result.ledger if e.surface == "Ann").proposers == ("b",)
    assert result.candidate_spans == (Span(0, 3), Span(9, 13))
    assert result.voted_labels == {Span(0, 3): "PER", Span(9, 13): "LOC"}


def test_each_member_alone(member: Made, places: LabelSet) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {"Oslo": "person", "Ann": "person"})]
    result = Pipeline(members, places, None, rules()).run("Ann left Oslo.")
    alone = {name: [(m.text, m.label, dict(m.votes)) for m in found] for name, found in result.member_mentions.items()}
    assert alone == {
        "a": [("Oslo", "LOC", {"a": "LOC"})],
        "b": [("Ann", "PER", {"b": "PER"}), ("Oslo", "PER", {"b": "PER"})],
    }


def test_a_majority_for_none_is_outvoted(member: Made, places: LabelSet) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {}), member("c", {})]
    result = Pipeline(members, places, None, rules("majority")).run("Oslo")
    assert result.mentions == ()
    [entry] = result.ledger
    assert (entry.fate, entry.span, entry.proposers) == (Fate.OUTVOTED, Span(0, 4), ("a",))
    assert "LOC" in entry.detail
    assert result.voted_labels == {Span(0, 4): None}
    assert result.verifications == {}


def test_what_stays_below_the_threshold(member: Made, places: LabelSet) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {})]
    result = Pipeline(members, places, None, rules(threshold=0.5)).run("Oslo")
    [entry] = result.ledger
    assert (entry.fate, entry.label) == (Fate.BELOW_THRESHOLD, "LOC")
    assert result.mentions == ()


def test_the_verifier_denies(member: Made, places: LabelSet) -> None:
    members = [
        member("a", {"Oslo": "location", "Ann": "person"}),
        member("b", {"Oslo": "location", "Ann": "person"}),
        member("judge", {"Ann": "person"}),
    ]
    text = "Ann left Oslo, Oslo stayed."
    result = Pipeline(members, places, None, rules("majority", verifier="judge")).run(text)
    assert found(result) == [(0, 3, "PER")]
    denied = [e for e in result.ledger if e.fate is Fate.DENIED]
    assert [e.span for e in denied] == [Span(9, 13), Span(15, 19)]
    assert all("0.100" in e.detail for e in denied)
    assert result.verifications == {Span(0, 3): True, Span(9, 13): False, Span(15, 19): False}
    assert result.voted_labels[Span(9, 13)] == "LOC"
    assert [m.text for m in result.member_mentions["a"]] == ["Ann", "Oslo", "Oslo"]
    assert [cost[1] for cost in result.costs if cost[0] == "verification"] == ["judge"]


def test_the_verifier_is_not_asked_about_what_is_lost_anyway(member: Made, places: LabelSet) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {})]
    result = Pipeline(members, places, None, rules(threshold=0.9, verifier="b")).run("Oslo")
    assert not [cost for cost in result.costs if cost[0] == "verification"]
    assert fates(result) == {"Oslo": Fate.BELOW_THRESHOLD}


class ByPlace(Scorer):
    """Judges each place as it is told."""

    def __init__(self, told: Mapping[Span, tuple[str, float]]) -> None:
        self._told, self.model = told, StackingModel((), (), (), 0.0, 0.0, 0.3, 0)

    def score(self, text: str, verdicts: Mapping[Span, Verdict]) -> dict[Span, Verdict]:
        return {span: _with_unanimous(verdict, *self._told[span]) for span, verdict in verdicts.items()}


def _with_unanimous(verdict: Verdict, label: str, score: float) -> Verdict:
    ballots = tuple(
        replace(ballot, log_probabilities={x: 0.0 if x == label else -math.inf for x in ballot.log_probabilities})
        for ballot in verdict.ballots
    )
    return replace(verdict, label=label, score=score, ballots=ballots)


def test_each_place_of_a_surface_is_judged_by_itself(member: Made, places: LabelSet) -> None:
    text = "Oslo saw Oslo."
    first, second = Span(0, 4), Span(9, 13)
    stacking = ByPlace({first: ("LOC", 0.2), second: ("PER", 0.8)})
    result = Pipeline([member("a", {"Oslo": "location"})], places, None, rules(), scorer=stacking).run(text)
    assert found(result) == [(9, 13, "PER")]
    assert result.mentions[0].score == 0.8
    assert result.voted_labels == {first: "LOC", second: "PER"}
    assert [(e.span, e.fate, e.label) for e in result.ledger] == [
        (first, Fate.BELOW_THRESHOLD, "LOC"),
        (second, Fate.KEPT, "PER"),
    ]
    assert {span: v.label for span, v in result.verdicts.items()} == {first: "LOC", second: "LOC"}, "the vote's own"


def test_the_ledger_names_what_stands_where_a_less_likely_candidate_does(member: Made, places: LabelSet) -> None:
    model = member("a", {"Oslo": "location", "Bank of Oslo": "location"})
    stacking = ByPlace({Span(0, 12): ("LOC", 0.9), Span(8, 12): ("LOC", 0.05)})
    result = Pipeline([model], places, None, rules(), scorer=stacking).run("Bank of Oslo")
    assert {e.surface: (e.fate, e.detail) for e in result.ledger} == {
        "Bank of Oslo": (Fate.KEPT, "score 0.900"),
        "Oslo": (Fate.BELOW_THRESHOLD, "score 0.050, overlaps Bank of Oslo (LOC)"),
    }


@pytest.mark.parametrize("sure", [None, 0.9])
def test_the_verifier_is_asked_about_each_kind_of_place_once(
    member: Made, places: LabelSet, sure: float | None
) -> None:
    text = "Oslo, Oslo, Oslo and Oslo"
    spans = [Span(i, i + 4) for i in (0, 6, 12, 21)]
    told = dict(zip(spans, [("LOC", 0.99), ("LOC", 0.5), ("PER", 0.6), ("LOC", 0.1)], strict=True))
    judge = Narrow({}, 10**6)
    members = [member("a", {"Oslo": "location"}), member("judge", judge)]
    asked = replace(rules(verifier="judge"), skip_verification_above=sure)
    pipeline = Pipeline(members, places, None, asked, scorer=ByPlace(told))
    result = pipeline.run(text)
    shape = members[0].template
    checks = [prompt.split(shape.checks)[-1] for prompt in judge.asked if shape.checks in prompt]
    assert len(checks) == 2, "a location, a person"
    [types] = {prompt.split(shape.types)[-1].split(shape.checks)[0] for prompt in judge.asked if shape.checks in prompt}
    assert types.count("Oslo") == 1, "typed as where it is the most probable"
    assert "location" in types
    assert result.verifications == dict.fromkeys(spans[0 if sure is None else 1 : 3], False)
    assert found(result) == ([] if sure is None else [(0, 4, "LOC")]), "what is sure is not asked about"


def test_two_that_propose_one_place_alike_are_one(member: Made) -> None:
    text = "ANDRE met Andre\u0301 here"
    added = add_proposals(text, [], ["ANDRE", "Andre", "met"], "capitalised")
    taken = [span for c in added for span in find_occurrences(text, c.surface)]
    assert len(taken) == len(set(taken))
    assert [c.surface for c in added] == ["ANDRE", "met"]


def test_what_looks_like_a_name_is_typed_and_has_its_line(member: Made, places: LabelSet) -> None:
    text = "Ann left Oslo and Then Bergen"
    a = member("a", {"Ann": "person", "Oslo": "location"}, replies={text: " Ann"})
    plain = Pipeline([a], places, None, rules(threshold=0.1)).run(text)
    assert found(plain) == [(0, 3, "PER")]
    result = Pipeline([a], places, None, rules(threshold=0.1), [CapitalisedProposer()]).run(text)
    assert found(result) == [(0, 3, "PER"), (9, 13, "LOC")]
    lines = {e.surface: (e.fate, e.proposers) for e in result.ledger}
    assert lines["Oslo"] == (Fate.KEPT, ("capitalised",))
    assert lines["Ann"] == (Fate.KEPT, ("a",))
    assert lines["Then Bergen"][1] == ("capitalised",)
    assert [m.text for m in result.member_mentions["a"]] == ["Ann"], "it did not propose the other itself"


def test_what_is_worded_like_a_name_is_typed_and_has_its_line(member: Made, places: LabelSet) -> None:
    pool = [
        Document(f"{i}", text, (mention_at(text, 3, len(text), "LOC"),))
        for i, text in enumerate(("in oslo", "in bern"))
    ]
    wording = WordStatistics([*pool, Document("", "we saw them")], places, SPLIT)
    a = member("a", {"lima": "location"}, replies={"in lima": " none"})
    assert Pipeline([a], places, None, rules(threshold=0.1)).run("in lima").ledger == ()
    result = Pipeline([a], places, None, rules(threshold=0.1), [NaiveBayesProposer(wording)]).run("in lima")
    assert found(result) == [(3, 7, "LOC")]
    assert [(e.surface, e.fate, e.proposers) for e in result.ledger] == [("lima", Fate.KEPT, ("naive_bayes",))]
    assert result.member_mentions["a"] == (), "it did not propose it itself"


def test_repeated_mentions_are_separate(member: Made, places: LabelSet) -> None:
    text = "Oslo, Oslo\nand Oslofjord; OSLO"
    result = Pipeline([member("a", {"Oslo": "location"})], places, None, rules()).run(text)
    assert found(result) == [(0, 4, "LOC"), (6, 10, "LOC")]
    assert [e.span for e in result.ledger] == [Span(0, 4), Span(6, 10)]


@pytest.mark.parametrize("nested", [True, False])
def test_nested_mentions(member: Made, nested: bool) -> None:
    labels = label_set({"ORG": "", "LOC": ""}, nested=nested)
    member_ = member("a", {"Bank of Oslo": "organisation", "Oslo": "location"})
    result = Pipeline([member_], labels, None, rules()).run("The Bank of Oslo fell")
    if nested:
        assert found(result) == [(4, 16, "ORG"), (12, 16, "LOC")]
    else:
        assert found(result) == [(4, 16, "ORG")]
        lost = next(e for e in result.ledger if e.fate is Fate.OVERLAPPED)
        assert (lost.surface, lost.label, lost.proposers) == ("Oslo", "LOC", ("a",))
        assert "Bank of Oslo (ORG)" in lost.detail


def test_every_spelling_of_what_is_listed_is_a_candidate(member: Made, places: LabelSet) -> None:
    text = "Acme  Corp bought ACME CORP shares."
    listing = member("a", {"ACME CORP": "organisation"}, replies={text: "acme corp"})
    result = Pipeline([listing], places, None, rules()).run(text)
    assert [(e.surface, e.span, e.proposers) for e in result.ledger] == [
        ("Acme  Corp", Span(0, 10), ("a",)),
        ("ACME CORP", Span(18, 27), ("a",)),
    ]


def test_a_span_that_is_not_in_the_text(member: Made, places: LabelSet) -> None:
    text = "Ann left Oslo."
    made_up = member("a", {"Ann": "person"}, replies={text: "Ann | Berlin | Osl"})
    result = Pipeline([made_up], places, None, rules()).run(text)
    assert fates(result) == {"Ann": Fate.KEPT, "Berlin": Fate.NOT_IN_TEXT, "Osl": Fate.NOT_IN_TEXT}
    assert next(e for e in result.ledger if e.surface == "Berlin").span is None


@pytest.mark.parametrize("reply", ["", "  | "])
def test_an_empty_reply_is_unreadable(member: Made, places: LabelSet, reply: str) -> None:
    members = [member("a", {}, replies={"Oslo": reply}), member("b", {"Oslo": "location"})]
    result = Pipeline(members, places, None, rules()).run("Oslo")
    lost = next(e for e in result.ledger if e.fate is Fate.UNREADABLE)
    assert lost.proposers == ("a",)
    assert "empty" in lost.detail
    assert found(result) == [(0, 4, "LOC")]


def test_a_member_that_finds_nothing_says_so(member: Made, places: LabelSet) -> None:
    result = Pipeline([member("a", {})], places, None, rules()).run("Nothing here")
    assert [*result.mentions, *result.ledger, *result.candidate_spans] == []
    assert result.member_mentions == {"a": ()}
    assert [cost[0] for cost in result.costs] == ["extraction"]


def test_a_reply_that_is_cut_off(member: Made, places: LabelSet) -> None:
    text = "Oslo"
    babbling = member("a", {"Oslo": "location"}, replies={text: "Oslo | " + "so it goes " * 20})
    result = Pipeline([babbling], places, None, rules()).run(text)
    cut = next(e for e in result.ledger if e.fate is Fate.CUT_OFF)
    assert cut.surface.startswith("so it goes")
    assert found(result) == [(0, 4, "LOC")]


def test_what_the_members_spelled_otherwise_is_one_candidate(member: Made, places: LabelSet) -> None:
    text = "in NEW\n YORK"
    members = [
        member("a", {"NEW  YORK": "location"}, replies={"in NEW  YORK": "New York"}),
        member("b", {"NEW  YORK": "location"}, replies={"in NEW  YORK": "NEW YORK | new york"}),
    ]
    result = Pipeline(members, places, None, rules()).run(text)
    [mention] = result.mentions
    assert mention.text == text[mention.start : mention.end] == "NEW\n YORK"
    [entry] = result.ledger
    assert entry.proposers == ("a", "b")


# property: the ledger is complete

SURFACES = ["Oslo", "New York", "York", "Ann Lee", "Lee", "Bank of Oslo", "Paris"]
TEXTS = st.lists(st.sampled_from([*SURFACES, "and", "of", "Leeds", "."]), min_size=1, max_size=9).map(" ".join)
LEXICONS = st.lists(
    st.dictionaries(st.sampled_from(SURFACES), st.sampled_from(["person", "location", "none"]), max_size=5),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150)
@given(
    TEXTS, LEXICONS, st.sampled_from(sorted(VOTING_RULES)), st.sampled_from([0.0, 0.4, 0.7]), st.booleans(), st.data()
)
def test_nothing_proposed_is_without_its_line(
    member: Made, text: str, lexicons: list[dict[str, str]], vote: str, threshold: float, nested: bool, data: Any
) -> None:
    members = [member(f"m{i}", lexicon) for i, lexicon in enumerate(lexicons)]
    verifier = data.draw(st.sampled_from([None, *(m.name for m in members)]))
    labels = label_set({"PER": "", "LOC": ""}, nested=nested)
    result = Pipeline(members, labels, None, rules(vote, threshold, verifier)).run(text)
    proposed: dict[Span, set[str]] = {}
    for one, lexicon in zip(members, lexicons, strict=True):
        for surface in lexicon:
            for place in re.finditer(rf"(?<!\w){re.escape(surface)}(?!\w)", text):
                proposed.setdefault(Span(*place.span()), set()).add(one.name)
    told = Counter(entry.span for entry in result.ledger)
    assert told == Counter(proposed.keys())
    for entry in result.ledger:
        assert entry.span is not None
        assert entry.span.slice(text) == entry.surface
        assert set(entry.proposers) == proposed[entry.span]
        assert entry.to_json()["fate"] == entry.fate.value
    kept = [e for e in result.ledger if e.fate is Fate.KEPT]
    assert {(e.span, e.label) for e in kept} == {(m.span, m.label) for m in result.mentions}
    assert set(result.candidate_spans) == set(proposed) == set(result.voted_labels)
    assert set(result.verifications) <= set(proposed)
    denied = {e.span for e in result.ledger if e.fate is Fate.DENIED}
    assert denied == {span for span, passed in result.verifications.items() if not passed}
    if verifier is not None:
        assert {m.span for m in result.mentions} <= {span for span, passed in result.verifications.items() if passed}
    for mention in result.mentions:
        assert text[mention.start : mention.end] == mention.text
        assert mention.score is not None
        assert mention.score >= threshold
        assert set(mention.votes) == {m.name for m in members}


def test_the_same_again(member: Made, places: LabelSet) -> None:
    text = "Ann Lee left Oslo for New York"
    lexicon = {"Ann Lee": "person", "Oslo": "location", "York": "location", "New York": "location"}
    runs = [Pipeline([member("a", lexicon), member("b", lexicon)], places, None, rules()).run(text) for _ in range(2)]
    assert runs[0] == runs[1]


# retrieval and contexts that are too small


class Narrow(ScriptedModel):
    """Fails on prompts longer than `room`, and remembers what it was asked."""

    def __init__(self, lexicon: dict[str, str], room: int) -> None:
        super().__init__("narrow", lexicon)
        self.room, self.asked = room, list[str]()

    def _check(self, prompts: Sequence[str]) -> None:
        self.asked += prompts
        if any(len(p) > self.room for p in prompts):
            raise PromptTooLongError(f"more than {self.room} letters")

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        self._check(prompts)
        return super().generate(prompts, decoding)

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        self._check(prompts)
        return super().choose(prompts, options)


def pool(trigrams: Any, number: int = 8) -> PoolIndex:
    texts = [f"Person{i} lives in Town{i}" for i in range(number)]
    documents = [
        Document(f"p{i}", t, (mention_at(t, 0, 7, "PER"), mention_at(t, len(t) - 5, len(t), "LOC")))
        for i, t in enumerate(texts)
    ]
    spans = [[m.text for m in d.mentions] for d in documents]
    return PoolIndex(
        documents, encode_pool(documents, spans, trigrams), encoder=trigrams, pos_tagger=HeuristicPosTagger()
    )


TEXT = "Person3 left Oslo"


def test_the_most_similar_demonstration_is_nearest_to_the_question(
    member: Made, places: LabelSet, trigrams: Any
) -> None:
    model = Narrow({"Oslo": "location", "Person3": "person"}, 10**6)
    result = Pipeline([member("narrow", model)], places, pool(trigrams), rules(shots=3)).run(TEXT)
    assert result.demonstration_ids[-1] == "p3"
    assert len(result.demonstration_ids) == 3
    prompt = model.asked[1]
    shown = [prompt.index(f"Person{name[1:]} lives") for name in result.demonstration_ids]
    assert shown == sorted(shown)
    assert prompt.index(TEXT) > shown[-1]
    assert [c[:2] for c in result.costs] == [
        ("retrieval", "narrow"),
        ("extraction", "narrow"),
        ("classification", "narrow"),
    ]
    assert total_usage(c[2] for c in result.costs).calls == len(model.asked)


def test_every_prompt_of_a_sentence_goes_on_from_the_first(member: Made, places: LabelSet, trigrams: Any) -> None:
    model = Narrow({"Oslo": "location", "Person3": "person"}, 10**6)
    Pipeline([member("narrow", model)], places, pool(trigrams), rules(verifier="narrow")).run(TEXT)
    _, extraction, *later = model.asked
    assert len(later) == 4
    assert all(prompt.startswith(extraction) for prompt in later)


@pytest.mark.parametrize(("shots", "seen"), [(None, 3), (2, 2), (0, 0)])
def test_a_member_may_be_shown_fewer_demonstrations_than_the_others(
    shots: int | None, seen: int, member: Made, places: LabelSet, trigrams: Any
) -> None:
    one, other = (Narrow({"Oslo": "location"}, 10**6) for _ in range(2))
    members = [replace(member("one", one), shots=shots), member("other", other)]
    result = Pipeline(members, places, pool(trigrams), rules(shots=3)).run(TEXT)
    *_, asked_one = one.asked
    *_, asked_other = other.asked
    assert asked_other.count(" lives in ") == len(result.demonstration_ids) == 3
    assert asked_one.count(" lives in ") == seen
    assert seen == 0 or f"{result.demonstration_ids[-1].replace('p', 'Person')} lives" in asked_one


def test_only_the_verifier_is_shown_checks(member: Made, places: LabelSet, trigrams: Any) -> None:
    first, judge = (Narrow({"Oslo": "location"}, 10**6) for _ in range(2))
    members = [member("first", first), member("judge", judge)]
    Pipeline(members, places, pool(trigrams), rules("majority", verifier="judge")).run(TEXT)
    shape = members[0].template
    assert not [prompt for prompt in first.asked if shape.checks in prompt]
    _, extraction, *later = judge.asked
    assert extraction.count(shape.checks) == 3
    assert all(prompt.startswith(extraction) for prompt in later)
    assert later[-1].count(shape.checks) == 4


def test_no_shots_and_no_pool_ask_the_same(member: Made, places: LabelSet, trigrams: Any) -> None:
    asked = []
    for index, shots in ((pool(trigrams), 0), (None, 8)):
        model = Narrow({"Oslo": "location"}, 10**6)
        result = Pipeline([member("narrow", model)], places, index, rules(shots=shots)).run(TEXT)
        assert result.demonstration_ids == ()
        asked.append(model.asked)
    assert asked[0] == asked[1]


def test_fewer_shots_where_the_context_is_small(member: Made, places: LabelSet, trigrams: Any) -> None:
    model = Narrow({"Oslo": "location"}, 10**6)
    wide = Pipeline([member("narrow", model)], places, pool(trigrams), rules(shots=8)).run(TEXT)
    longest = max(map(len, model.asked))
    tight = Narrow({"Oslo": "location"}, longest * 2 // 3)
    result = Pipeline([member("narrow", tight)], places, pool(trigrams), rules(shots=8)).run(TEXT)
    assert found(result) == found(wide)
    assert 0 < len(result.demonstration_ids) < 8
    assert result.demonstration_ids == wide.demonstration_ids[-len(result.demonstration_ids) :]


def test_a_sentence_that_does_not_fit_at_all(member: Made, places: LabelSet, trigrams: Any) -> None:
    with pytest.raises(PromptTooLongError, match="more than 20 letters"):
        Pipeline([member("narrow", Narrow({}, 20))], places, pool(trigrams), rules()).run(TEXT)


def test_fewer_shots_where_only_the_later_stages_do_not_fit(member: Made, places: LabelSet, trigrams: Any) -> None:
    model = Narrow({"Oslo": "location"}, 10**6)
    Pipeline([member("narrow", model)], places, pool(trigrams), rules(shots=8)).run(TEXT)
    extraction = len(model.asked[1])
    tight = Narrow({"Oslo": "location"}, extraction + 5)
    result = Pipeline([member("narrow", tight)], places, pool(trigrams), rules(shots=8)).run(TEXT)
    assert found(result) == [(13, 17, "LOC")]
