from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from entsemble.ner.ledger import Fate, LedgerEntry
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult
from entsemble.prompting.labels import label_set
from entsemble.types import Span
from entsemble.voting.rules import VOTING_RULES
from tests.ner.ner_factories import MemberFactory, decision_rules

SURFACES = ["Oslo", "New York", "York", "Ann Lee", "Lee", "Bank of Oslo", "Paris"]
TEXTS = st.lists(st.sampled_from([*SURFACES, "and", "of", "Leeds", "."]), min_size=1, max_size=9).map(" ".join)
LEXICONS = st.lists(
    st.dictionaries(st.sampled_from(SURFACES), st.sampled_from(["person", "location", "none"]), max_size=5),
    min_size=1,
    max_size=3,
)


def proposers_by_span(text: str, lexicons: Sequence[Mapping[str, str]]) -> dict[Span, set[str]]:
    """Whole-word occurrences of each member's surfaces; member i is called `member-i`."""
    proposers: dict[Span, set[str]] = {}
    for number, lexicon in enumerate(lexicons):
        for surface in lexicon:
            for match in re.finditer(rf"(?<!\w){re.escape(surface)}(?!\w)", text):
                proposers.setdefault(Span(*match.span()), set()).add(f"member-{number}")
    return proposers


def spans_with(result: SentenceResult, fate: Fate) -> set[Span | None]:
    return {entry.span for entry in result.ledger if entry.fate is fate}


@settings(max_examples=150)
@given(
    TEXTS, LEXICONS, st.sampled_from(sorted(VOTING_RULES)), st.sampled_from([0.0, 0.4, 0.7]), st.booleans(), st.data()
)
def test_every_proposal_has_exactly_one_entry_that_agrees_with_the_result(
    member: MemberFactory,
    text: str,
    lexicons: list[dict[str, str]],
    vote: str,
    threshold: float,
    nested: bool,
    data: st.DataObject,
) -> None:
    members = [member(f"member-{number}", lexicon) for number, lexicon in enumerate(lexicons)]
    verifier = data.draw(st.sampled_from([None, *(one.name for one in members)]))
    labels = label_set({"PER": "", "LOC": ""}, nested=nested)
    result = Pipeline(members, labels, None, decision_rules(vote, threshold, verifier)).run(text)

    proposers = proposers_by_span(text, lexicons)
    assert Counter(entry.span for entry in result.ledger) == Counter(proposers.keys())
    for entry in result.ledger:
        assert entry.span is not None
        assert entry.span.slice(text) == entry.surface
        assert set(entry.proposers) == proposers[entry.span]
    assert set(result.candidate_spans) == set(proposers) == set(result.voted_labels)

    assert spans_with(result, Fate.KEPT) == {mention.span for mention in result.mentions}
    for mention in result.mentions:
        assert text[mention.start : mention.end] == mention.text
        assert mention.score is not None
        assert mention.score >= threshold
        assert set(mention.votes) == {one.name for one in members}

    assert set(result.verifications) <= set(proposers)
    confirmed = {span for span, is_confirmed in result.verifications.items() if is_confirmed}
    assert spans_with(result, Fate.DENIED) == set(result.verifications) - confirmed
    assert verifier is None or {mention.span for mention in result.mentions} <= confirmed


def test_an_entry_as_json_has_only_what_is_known() -> None:
    unusable = LedgerEntry("Berlin", Fate.NOT_IN_TEXT, ("a",))
    assert unusable.to_json() == {"text": "Berlin", "fate": "not in the text", "members": ["a"]}
    mention = LedgerEntry("Oslo", Fate.KEPT, ("a", "b"), Span(2, 6), "LOC", "score 0.900")
    assert mention.to_json() == {
        "text": "Oslo",
        "start": 2,
        "end": 6,
        "label": "LOC",
        "fate": "kept",
        "members": ["a", "b"],
        "detail": "score 0.900",
    }
