from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entsemble.data.unique_ids import UniqueIds


@given(st.lists(st.text(max_size=3)), st.integers(1, 5))
def test_only_the_first_of_equal_ids_is_new(values: list[str], max_in_memory: int) -> None:
    ids, reference = UniqueIds(max_in_memory), set[str]()
    for value in values:
        assert ids.add(value) == (value not in reference)
        reference.add(value)
    ids.close()
