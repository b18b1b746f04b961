from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entsemble.data.unique_ids import Seen


@given(st.lists(st.text(max_size=3)), st.integers(1, 5))
def test_it_tells_new_from_known_like_a_set(values: list[str], in_memory: int) -> None:
    seen, known = Seen(in_memory), set[str]()
    for value in values:
        assert seen.add(value) == (value not in known)
        known.add(value)
    seen.close()
