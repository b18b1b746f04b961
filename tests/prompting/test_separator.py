"""Names that hold the characters that prompts separate things with."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from entsemble.prompting.align import find_occurrences
from entsemble.prompting.grammar import build_listing_grammar
from entsemble.prompting.parse import ParsedList, parse_surfaces
from entsemble.prompting.render import render_list
from entsemble.prompting.separator import prompt_text
from entsemble.prompting.template import load_template
from entsemble.types import Reply, Usage
from tests.prompting.test_grammar import to_regex

TEMPLATE = load_template("ner-1")
WORDS = st.sampled_from(["Ann", "|", "A|B", "||", ";", "=", "x=1;", "\n", "none", ","])


@given(st.text())
def test_offsets_stay_the_same_and_only_separators_and_line_breaks_change(text: str) -> None:
    shown = prompt_text(TEMPLATE, text)
    assert len(shown) == len(text)
    assert "|" not in shown
    changed = {before for before, after in zip(text, shown, strict=True) if before != after}
    assert all(character == "|" or character.isspace() for character in changed)


@settings(max_examples=60)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=2, max_size=4))
def test_any_name_is_listed_parsed_and_located_whole(word_lists: list[list[str]]) -> None:
    names = [name for words in word_lists if prompt_text(TEMPLATE, name := " ".join(words)).strip()]
    assume(names)
    text = " , ".join(names)
    shown = prompt_text(TEMPLATE, text)
    listed = render_list(TEMPLATE, names)
    if all(name == name.strip() for name in names):  # a list never begins an item with a line break
        assert to_regex(build_listing_grammar(TEMPLATE, text)).fullmatch(listed + "\n")
    parsed = parse_surfaces(Reply(listed, finished=True, usage=Usage()), TEMPLATE)
    assert isinstance(parsed, ParsedList)
    distinct = dict.fromkeys(prompt_text(TEMPLATE, name).strip() for name in names)
    assert list(parsed.surfaces) == [*distinct] or [*distinct] == ["none"]
    assert all(find_occurrences(shown, surface) for surface in parsed.surfaces)
