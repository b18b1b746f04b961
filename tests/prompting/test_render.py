from __future__ import annotations

import os
from pathlib import Path

import pytest

from entsemble.prompting.demonstration import build_demonstration
from entsemble.prompting.render import (
    render_check_question,
    render_extraction_prompt,
    render_header,
    render_list,
    render_type_answer,
    render_typing_question,
)
from entsemble.prompting.template import load_template
from tests.factories import document, label_set, mention

GOLDEN = Path(__file__).parent.parent / "golden"
LABELS = label_set(PER="names of people, real or fictional", LOC="")
POOL_TEXT = "Ann Lee left Oslo, and Oslo left her."
ANNOTATED = build_demonstration(
    document(POOL_TEXT, ("Ann Lee", "PER"), ("Oslo", "LOC"), mention(POOL_TEXT, "Oslo", "LOC", start=23)), LABELS
)
EMPTY = build_demonstration(document("It rained again."), LABELS)
TEXT = "Bob {flew}\nto Bergen."

TEMPLATES = pytest.mark.parametrize("name", ["ner-1", "zero-shot-1"])


def verifier_prompts(name: str) -> tuple[str, str, str]:
    """The last prompt of each stage, from extraction to verification, for one sentence."""
    template = load_template(name)
    extraction = render_extraction_prompt(template, LABELS, (EMPTY, ANNOTATED), TEXT, checks=True)
    types_so_far = extraction + render_list(template, ["Bob", "Bergen"]) + template.types
    classification = types_so_far + render_typing_question(template, "Bob")
    all_types = classification + render_type_answer(template, "person")
    all_types += render_typing_question(template, "Bergen") + render_type_answer(template, "location")
    verification = all_types + template.checks + render_check_question(template, "Bob", "person")
    return extraction, classification, verification


@TEMPLATES
def test_prompts_equal_the_golden_files(name: str) -> None:
    """Prompts never change, character by character.

    An intended change is a new template with a new number. To write the golden file of a new template, run
    `ENTSEMBLE_WRITE_GOLDEN=1 python -m pytest tests/prompting/test_render.py`.
    """
    path, prompt = GOLDEN / f"prompt-{name}.txt", verifier_prompts(name)[-1]
    if os.environ.get("ENTSEMBLE_WRITE_GOLDEN"):
        path.write_text(prompt, encoding="utf-8")
    assert prompt == path.read_text(encoding="utf-8")


@TEMPLATES
def test_each_stages_prompt_continues_the_one_before(name: str) -> None:
    extraction, classification, verification = verifier_prompts(name)
    assert classification.startswith(extraction)
    assert verification.startswith(classification)


@TEMPLATES
def test_a_prompt_has_the_demonstrations_in_order_and_then_the_sentence_on_one_line(name: str) -> None:
    extraction, _, _ = verifier_prompts(name)
    assert extraction.count(POOL_TEXT) == 1
    assert TEXT.replace("\n", " ") in extraction
    assert TEXT not in extraction
    assert extraction.index(EMPTY.text) < extraction.index(POOL_TEXT) < extraction.index("Bob")


@TEMPLATES
def test_a_verifiers_prompt_differs_by_the_checks_alone(name: str) -> None:
    template = load_template(name)
    without_checks = render_extraction_prompt(template, LABELS, (EMPTY, ANNOTATED), TEXT)
    with_checks = render_extraction_prompt(template, LABELS, (EMPTY, ANNOTATED), TEXT, checks=True)
    assert template.checks in with_checks
    assert template.checks not in without_checks
    for demonstration in (EMPTY, ANNOTATED):
        checks = template.checks + "".join(
            render_check_question(template, surface, label) + (template.yes if is_right else template.no)
            for surface, label, is_right in demonstration.checks
        )
        assert with_checks.count(checks) == 1
        with_checks = with_checks.replace(checks, "")
    assert with_checks == without_checks


def test_the_header_has_readable_names_and_definitions_if_there_are_any() -> None:
    header = render_header(load_template("ner-1"), LABELS)
    assert "person (names of people, real or fictional)" in header
    assert "location" in header
    assert "PER" not in header
    assert "()" not in header


def test_an_empty_list_is_written_as_none() -> None:
    template = load_template("ner-1")
    assert render_list(template, []) == template.nothing


@TEMPLATES
def test_no_answer_is_a_prefix_of_another(name: str) -> None:
    template = load_template(name)
    labels = ("person", "person name", "person name part", "none")
    answers = [render_type_answer(template, label) for label in labels]
    assert not any(first != second and second.startswith(first) for first in answers for second in answers)
    assert not template.yes.startswith(template.no)
    assert not template.no.startswith(template.yes)
