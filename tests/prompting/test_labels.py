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
def test_names_in_words(name: str, words: str) -> None:
    assert readable_name(name) == words


def test_names_that_read_alike_keep_their_spelling() -> None:
    labels = label_set({"Work": " pieces of art ", "work": "", "LOC": ""}, nested=True)
    assert [x.readable for x in labels] == ["Work", "work", "location"]
    assert [x.definition for x in labels] == ["pieces of art", "", ""]
    assert labels.nested


@given(
    st.lists(
        st.sampled_from(["PER", "person", "Person", "pers", "Work", "work", "None", "DNA", "dna"]),
        unique=True,
        min_size=1,
    )
)
def test_any_names_make_a_label_set(names: list[str]) -> None:
    labels = label_set(dict.fromkeys(names, ""))
    assert labels.names == tuple(names)
    assert len({x.readable for x in labels}) == len(names)


def test_a_label_called_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no entity"):
        label_set({"none": ""})
