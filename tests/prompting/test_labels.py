from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.prompting.labels import label_set, readable_name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PER", "person"),
        ("per", "person"),
        ("LOC", "location"),
        ("musicalartist", "musical artist"),
        ("cell_line", "cell line"),
        ("PER.NOM", "person noun"),
        ("LOCderiv", "location derived"),
        ("ORGpart", "organisation part"),
        ("Multi-tissue_structure", "multi-tissue structure"),
        ("creative-work", "creative work"),
        ("CreativeWork", "creative work"),
        ("DNA", "DNA"),
        ("UFO", "UFO"),
        ("_", "_"),
        ("地名", "地名"),
    ],
)
def test_a_readable_name_is_in_words(name: str, words: str) -> None:
    assert readable_name(name) == words


def test_labels_with_the_same_readable_name_keep_their_spelling() -> None:
    labels = label_set({"Work": " pieces of art ", "work": "", "LOC": ""}, nested=True)
    assert [label.readable for label in labels] == ["Work", "work", "location"]
    assert [label.definition for label in labels] == ["pieces of art", "", ""]
    assert labels.nested


@given(
    st.lists(
        st.sampled_from(["PER", "person", "Person", "pers", "Work", "work", "None", "DNA", "dna"]),
        unique=True,
        min_size=1,
    )
)
def test_readable_names_of_a_label_set_are_unique(names: list[str]) -> None:
    labels = label_set(dict.fromkeys(names, ""))
    assert labels.names == tuple(names)
    assert len({label.readable for label in labels}) == len(names)


def test_a_label_called_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no entity"):
        label_set({"none": ""})
