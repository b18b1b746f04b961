from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.errors import UnknownNameError
from entsemble.prompting.parse import ParsedList, UnreadableReply, parse_surfaces, truncate_at_repetition
from entsemble.prompting.template import load_template
from entsemble.types import Reply, Usage

SHAPE = load_template("ner-1")


def said(text: str, finished: bool = True) -> ParsedList | UnreadableReply:
    return parse_surfaces(Reply(text, finished, Usage()), SHAPE)


@pytest.mark.parametrize(
    ("text", "surfaces"),
    [
        (" Oslo | Ann Lee", ("Oslo", "Ann Lee")),
        ("Oslo|Ann", ("Oslo", "Ann")),
        (" Oslo | Oslo | oslo", ("Oslo", "oslo")),
        (" | Oslo |  | ", ("Oslo",)),
        (" none", ()),
        (" None ", ()),
        (" Oslo, Bergen", ("Oslo, Bergen",)),
    ],
)
def test_lists(text: str, surfaces: tuple[str, ...]) -> None:
    assert said(text) == ParsedList(surfaces)


@pytest.mark.parametrize("text", ["", "  ", " | |", "\t|"])
def test_an_empty_reply_is_no_empty_list(text: str) -> None:
    told = said(text)
    assert isinstance(told, UnreadableReply)
    assert "empty" in told.reason
    assert isinstance(said(text, finished=False), UnreadableReply)


def test_what_the_limit_cuts_off_is_no_surface() -> None:
    assert said(" Oslo | Ann | Ber", finished=False) == ParsedList(("Oslo", "Ann"), "Ber")
    assert said(" Oslo |", finished=False) == ParsedList(("Oslo",), "")
    assert said(" Osl", finished=False) == ParsedList((), "Osl")


@given(st.text(), st.booleans())
def test_any_reply_is_read_or_refused(text: str, finished: bool) -> None:
    told = said(text, finished)
    if isinstance(told, ParsedList):
        assert all(s and s == s.strip() and s in text and "|" not in s for s in told.surfaces)
        assert len(set(told.surfaces)) == len(told.surfaces)
    else:
        assert not text.replace("|", "").strip() or not finished


def test_an_unknown_template_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"prompt template 'ner-0'.*ner-1.*zero-shot-1"):
        load_template("ner-0")


@pytest.mark.parametrize("name", ["ner-1", "zero-shot-1"])
def test_a_template_can_be_parsed_by_what_it_writes(name: str) -> None:
    shape = load_template(name)
    assert shape.name == name
    assert shape.stop
    listed = shape.surface_separator.join(shape.surface.format(surface=s) for s in ("Oslo", "Ann Lee"))
    assert parse_surfaces(Reply(listed, True, Usage()), shape) == ParsedList(("Oslo", "Ann Lee"))
    assert parse_surfaces(Reply(shape.nothing, True, Usage()), shape) == ParsedList(())


@pytest.mark.parametrize(
    ("text", "before"),
    [
        (" Ann | Oslo", None),
        (" Ann | Ann | Oslo | Bergen |", None),
        (" Ann | Ann | Ann", None),  # the last may go on: `Anna`
        (" Ann | Ann | Ann |", " Ann | Ann "),
        (" Ann | Oslo | Ann | Oslo | Rome", " Ann | Oslo | Ann "),
        (" |  |  |", " |  "),
        ("", None),
    ],
)
def test_a_list_that_repeats_itself_ends(text: str, before: str | None) -> None:
    assert truncate_at_repetition(text, "|") == before
