from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.errors import UnknownNameError
from entsemble.prompting.parse import ParsedList, UnreadableReply, parse_surfaces, truncate_at_repetition
from entsemble.prompting.template import load_template
from entsemble.types import Reply, Usage

TEMPLATE = load_template("ner-1")


def parse(text: str, finished: bool = True) -> ParsedList | UnreadableReply:
    return parse_surfaces(Reply(text, finished, Usage()), TEMPLATE)


@pytest.mark.parametrize(
    ("text", "surfaces"),
    [
        (" Oslo | Ann Lee", ("Oslo", "Ann Lee")),
        ("Oslo|Ann", ("Oslo", "Ann")),
        (" Oslo | Oslo | oslo", ("Oslo", "oslo")),
        (" | Oslo |  | ", ("Oslo",)),
        (" none", ()),
        (" None ", ()),
        (" None | Oslo", ("None", "Oslo")),
        (" Oslo, Bergen", ("Oslo, Bergen",)),
    ],
)
def test_a_list_is_parsed_into_its_distinct_items(text: str, surfaces: tuple[str, ...]) -> None:
    assert parse(text) == ParsedList(surfaces)


@pytest.mark.parametrize("text", ["", "  ", " | |", "\t|"])
def test_an_empty_reply_is_a_failure(text: str) -> None:
    parsed = parse(text)
    assert isinstance(parsed, UnreadableReply)
    assert "empty" in parsed.reason
    assert isinstance(parse(text, finished=False), UnreadableReply)


@pytest.mark.parametrize(
    ("text", "surfaces", "truncated_item"),
    [(" Oslo | Ann | Ber", ("Oslo", "Ann"), "Ber"), (" Oslo |", ("Oslo",), ""), (" Osl", (), "Osl")],
)
def test_the_last_item_of_an_unfinished_reply_is_not_a_surface(
    text: str, surfaces: tuple[str, ...], truncated_item: str
) -> None:
    assert parse(text, finished=False) == ParsedList(surfaces, truncated_item)


@given(st.text(), st.booleans())
def test_any_reply_is_parsed_or_refused(text: str, finished: bool) -> None:
    parsed = parse(text, finished)
    if isinstance(parsed, ParsedList):
        assert all(surface and surface == surface.strip() for surface in parsed.surfaces)
        assert all(surface in text and "|" not in surface for surface in parsed.surfaces)
        assert len(set(parsed.surfaces)) == len(parsed.surfaces)
    else:
        assert not text.replace("|", "").strip() or not finished


@pytest.mark.parametrize(
    ("text", "truncated"),
    [
        (" Ann | Oslo", None),
        (" Ann | Ann | Oslo | Bergen |", None),
        (" Ann | Ann | Ann", None),  # the last item may continue: `Anna`
        (" Ann | Ann | Ann |", " Ann | Ann "),
        (" Ann | Oslo | Ann | Oslo | Rome", " Ann | Oslo | Ann "),
        (" |  |  |", " |  "),
        ("", None),
    ],
)
def test_a_list_is_truncated_at_the_second_repeated_item(text: str, truncated: str | None) -> None:
    assert truncate_at_repetition(text, "|") == truncated


@pytest.mark.parametrize("name", ["ner-1", "zero-shot-1"])
def test_a_list_written_by_a_template_can_be_parsed(name: str) -> None:
    template = load_template(name)
    assert template.name == name
    assert template.stop
    items = [template.surface.format(surface=surface) for surface in ("Oslo", "Ann Lee")]
    reply = Reply(template.surface_separator.join(items), True, Usage())
    assert parse_surfaces(reply, template) == ParsedList(("Oslo", "Ann Lee"))
    assert parse_surfaces(Reply(template.nothing, True, Usage()), template) == ParsedList(())


def test_an_unknown_template_is_refused_with_a_list_of_all_templates() -> None:
    with pytest.raises(UnknownNameError, match=r"prompt template 'ner-0'.*ner-1.*zero-shot-1"):
        load_template("ner-0")
