from __future__ import annotations

import os
from pathlib import Path

import pytest

from entsemble.prompting.demonstration import build_demonstration
from entsemble.prompting.labels import label_set
from entsemble.prompting.render import (
    render_check_question,
    render_extraction_prompt,
    render_header,
    render_list,
    render_type_answer,
    render_typing_question,
)
from entsemble.prompting.template import load_template
from entsemble.types import Document, LabelSet, mention_at

GOLDEN = Path(__file__).parent.parent / "golden"
LABELS = label_set({"PER": "names of people, real or fictional", "LOC": ""})
POOL = "Ann Lee left Oslo, and Oslo left her."
SHOWN = build_demonstration(
    Document(
        "p", POOL, (mention_at(POOL, 0, 7, "PER"), mention_at(POOL, 13, 17, "LOC"), mention_at(POOL, 23, 27, "LOC"))
    ),
    LABELS,
)
NOTHING = build_demonstration(Document("q", "It rained again."), LABELS)
TEXT = "Bob {flew}\nto Bergen."


def whole(name: str, labels: LabelSet = LABELS) -> list[str]:
    """The verifier's prompts of the three stages of one sentence, each a continuation of the one before."""
    shape = load_template(name)
    extraction = render_extraction_prompt(shape, labels, (NOTHING, SHOWN), TEXT, checks=True)
    typing = extraction + render_list(shape, ["Bob", "Bergen"]) + shape.types + render_typing_question(shape, "Bob")
    typed = (
        typing
        + render_type_answer(shape, "person")
        + render_typing_question(shape, "Bergen")
        + render_type_answer(shape, "location")
    )
    return [extraction, typing, typed + shape.checks + render_check_question(shape, "Bob", "person")]


@pytest.mark.parametrize("name", ["ner-1", "zero-shot-1"])
def test_golden_prompts(name: str) -> None:
    """The whole prompt, letter by letter.

    A template that was changed on purpose is a new file with a new number; for one that nobody has used yet, write
    the golden file anew with `ENTSEMBLE_WRITE_GOLDEN=1 python -m pytest tests/prompting/test_render.py`.
    """
    path, prompt = GOLDEN / f"prompt-{name}.txt", whole(name)[-1]
    if os.environ.get("ENTSEMBLE_WRITE_GOLDEN"):
        path.write_text(prompt, encoding="utf-8")
    assert prompt == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["ner-1", "zero-shot-1"])
def test_every_stage_goes_on_from_the_one_before(name: str) -> None:
    first, second, third = whole(name)
    assert second.startswith(first)
    assert third.startswith(second)
    assert first.count(POOL) == 1
    assert TEXT.replace("\n", " ") in first
    assert TEXT not in first
    assert first.index(NOTHING.text) < first.index(POOL) < first.index("Bob")


@pytest.mark.parametrize("name", ["ner-1", "zero-shot-1"])
def test_checks_are_all_that_the_verifier_s_prompt_has_more(name: str) -> None:
    shape = load_template(name)
    plain = render_extraction_prompt(shape, LABELS, (NOTHING, SHOWN), TEXT)
    checked = render_extraction_prompt(shape, LABELS, (NOTHING, SHOWN), TEXT, checks=True)
    assert shape.checks in checked
    assert shape.checks not in plain
    for shown in (NOTHING, SHOWN):
        told = [
            render_check_question(shape, s, label) + (shape.yes if right else shape.no)
            for s, label, right in shown.checks
        ]
        assert checked.count(shape.checks + "".join(told)) == 1
        checked = checked.replace(shape.checks + "".join(told), "")
    assert plain == checked


def test_the_header_defines_the_labels_that_have_a_definition() -> None:
    shown = render_header(load_template("ner-1"), LABELS)
    assert "person (names of people, real or fictional)" in shown
    assert "location" in shown
    assert "PER" not in shown
    assert "()" not in shown


def test_no_surface_is_listed_as_nothing() -> None:
    shape = load_template("ner-1")
    assert render_list(shape, []) == shape.nothing


@pytest.mark.parametrize("name", ["ner-1", "zero-shot-1"])
def test_no_answer_is_the_beginning_of_another(name: str) -> None:
    shape = load_template(name)
    answers = [render_type_answer(shape, label) for label in ("person", "person name", "person name part", "none")]
    assert not any(a != b and b.startswith(a) for a in answers for b in answers)
    assert not shape.yes.startswith(shape.no)
    assert not shape.no.startswith(shape.yes)
