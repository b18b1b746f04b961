"""A model with scripted answers."""

from __future__ import annotations

import math

import pytest

from entsemble.backends.scripted import ScriptedModel
from entsemble.prompting.labels import label_set
from entsemble.prompting.render import (
    render_check_question,
    render_extraction_prompt,
    render_list,
    render_type_answer,
    render_typing_question,
)
from entsemble.prompting.template import load_template
from entsemble.types import Choice, Decoding

TEMPLATE = load_template("ner-1")
LABELS = label_set({"PER": "", "LOC": ""})
LEXICON = {"New York": "location", "York": "person", "Ann": "person"}
TYPES = [" person;", " location;", " none;"]
TYPING_PROMPT = (
    render_extraction_prompt(TEMPLATE, LABELS, (), "Ann saw New York")
    + render_list(TEMPLATE, ["Ann", "New York"])
    + TEMPLATE.types
)


def extraction_prompt(text: str) -> str:
    return render_extraction_prompt(TEMPLATE, LABELS, (), text)


def probabilities(choice: Choice) -> list[float]:
    return list(map(math.exp, choice.log_probabilities))


def test_extraction_lists_the_lexicon_s_surfaces_in_text_order() -> None:
    prompts = [extraction_prompt("Ann saw New York"), extraction_prompt("Annan")]
    [reply, empty_reply] = ScriptedModel("s", LEXICON).generate(prompts, Decoding(20))
    assert reply.text == " Ann | New York | York"
    assert reply.finished
    assert empty_reply.text == " none"


def test_a_reply_is_cut_off_at_the_token_limit() -> None:
    [reply] = ScriptedModel("s", LEXICON).generate([extraction_prompt("Ann saw New York")], Decoding(3))
    assert not reply.finished
    assert reply.text == " Ann | New"


def test_a_scripted_reply_replaces_that_of_the_lexicon() -> None:
    model = ScriptedModel("s", LEXICON, replies={"Ann": "gibberish"})
    replies = model.generate([extraction_prompt("Ann"), extraction_prompt("Ann!")], Decoding(9))
    assert [reply.text for reply in replies] == [" gibberish", " Ann"]


def test_a_type_is_the_lexicon_s_with_its_confidence() -> None:
    model = ScriptedModel("s", LEXICON, confidence=0.8)
    [choice] = model.choose([TYPING_PROMPT + render_typing_question(TEMPLATE, "Ann")], TYPES)
    assert probabilities(choice) == pytest.approx([0.8, 0.1, 0.1])


@pytest.mark.parametrize(("surface", "best_index"), [("New York", 1), ("Oslo", 2)])
def test_a_later_question_is_about_its_own_surface(surface: str, best_index: int) -> None:
    answered = render_typing_question(TEMPLATE, "Ann") + render_type_answer(TEMPLATE, "person")
    prompt = TYPING_PROMPT + answered + render_typing_question(TEMPLATE, surface)
    assert ScriptedModel("s", LEXICON).choose([prompt], TYPES)[0].best_index == best_index


@pytest.mark.parametrize(("label", "best_index"), [("person", 0), ("location", 1)])
def test_verification_answers_yes_if_the_label_is_the_lexicon_s(label: str, best_index: int) -> None:
    prompt = TYPING_PROMPT + TEMPLATE.checks + render_check_question(TEMPLATE, "Ann", label)
    [choice] = ScriptedModel("s", LEXICON).choose([prompt], [TEMPLATE.yes, TEMPLATE.no])
    assert choice.best_index == best_index


def test_options_of_an_unknown_question_are_equally_probable() -> None:
    [choice] = ScriptedModel("s", LEXICON).choose(["what?"], [" a;", " b;", " c;"])
    assert probabilities(choice) == pytest.approx([1 / 3] * 3)


def test_the_fingerprint_depends_on_the_script_but_not_on_the_name() -> None:
    fingerprints = {
        ScriptedModel("s", LEXICON).fingerprint,
        ScriptedModel("s", {**LEXICON, "Bo": "person"}).fingerprint,
        ScriptedModel("s", LEXICON, confidence=0.5).fingerprint,
        ScriptedModel("s", LEXICON, replies={"a": "b"}).fingerprint,
    }
    assert len(fingerprints) == 4
    assert ScriptedModel("other", LEXICON).fingerprint in fingerprints


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0])
def test_confidence_must_be_a_probability(confidence: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        ScriptedModel("s", LEXICON, confidence=confidence)
