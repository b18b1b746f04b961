"""Labels of a model as requested labels."""

from __future__ import annotations

import pytest

from entsemble.errors import ConfigError
from entsemble.prompting.labels import label_set
from entsemble.types import LabelSet
from entsemble.voices.label_map import describe_gaps, map_labels, shown_labels

ONTONOTES = ["PERSON", "ORG", "GPE", "LOC", "FAC", "DATE", "WORK_OF_ART"]


def labels(*names: str) -> LabelSet:
    return label_set(dict.fromkeys(names, ""))


@pytest.mark.parametrize(
    ("requested", "mapping"),
    [
        (("person", "organisation"), {"PERSON": "person", "ORG": "organisation"}),
        (("Organization", "LOC"), {"ORG": "Organization", "GPE": "LOC", "LOC": "LOC", "FAC": "LOC"}),
        (("gpe", "location"), {"GPE": "gpe", "LOC": "location", "FAC": "location"}),
        (("creative-work", "date"), {"WORK_OF_ART": "creative-work", "DATE": "date"}),
    ],
)
def test_labels_are_matched_by_what_their_names_mean(requested: tuple[str, ...], mapping: dict[str, str]) -> None:
    assert map_labels(ONTONOTES, labels(*requested), {}, "v") == mapping


def test_what_the_user_says_takes_precedence_and_empty_means_none() -> None:
    table = {"ORG": "corporation", "PERSON": ""}
    assert map_labels(["ORG", "PERSON", "LOC"], labels("corporation", "person", "location"), table, "v") == {
        "ORG": "corporation",
        "LOC": "location",
    }


def test_a_label_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the voice v has no label 'PRESON', .* it has LOC, PERSON"):
        map_labels(["PERSON", "LOC"], labels("person"), {"PRESON": "person"}, "v")


def test_a_voice_without_any_requested_label_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'finds none of the labels part; .* labels = \{ LOC = "part" \}; it has LOC'):
        map_labels(["LOC"], labels("part"), {}, "v")


def test_labels_that_no_label_of_the_model_means_are_reported_unless_the_user_mapped_them() -> None:
    requested = labels("person", "part")
    mapping = {"PERSON": "person"}
    assert describe_gaps(requested, {}, "v", mapping) == (
        "the voice v finds no part: none of its labels has such a name; see its `labels`"
    )
    assert describe_gaps(requested, {"PERSON": "person"}, "v", mapping) is None
    assert describe_gaps(requested, {}, "v") is None


def test_labels_that_are_not_requested_are_reported() -> None:
    problem = describe_gaps(labels("person"), {"PERSON": "person", "ORG": "company"}, "v", {"PERSON": "person"})
    assert problem == "the voice v maps to labels that are not requested: ORG = 'company'; requested: person"


def test_a_model_that_reads_labels_is_shown_the_user_s_words() -> None:
    shown = shown_labels(labels("PER", "LOC"), {"full name": "PER", "city": "town"}, "v")
    assert [(label.name, label.readable) for label in shown] == [("PER", "full name"), ("LOC", "location")]
    with pytest.raises(ConfigError, match=r"the voice v: .*given twice: location"):
        shown_labels(labels("PER", "LOC"), {"location": "PER"}, "v")
