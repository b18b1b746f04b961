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

SHAPE = load_template("ner-1")
LABELS = label_set({"PER": "", "LOC": ""})
MODEL = {"New York": "location", "York": "person", "Ann": "person"}
TYPES = [" person;", " location;", " none;"]


def asked(text: str) -> str:
    return render_extraction_prompt(SHAPE, LABELS, (), text)


def shares(choice: Choice) -> list[float]:
    return [math.exp(x) for x in choice.log_probabilities]


def test_it_lists_what_it_knows_in_text_order() -> None:
    [reply, nothing] = ScriptedModel("s", MODEL).generate([asked("Ann saw New York"), asked("Annan")], Decoding(20))
    assert reply.text == " Ann | New York | York"
    assert reply.finished
    assert nothing.text == " none"


def test_it_is_cut_off_at_the_limit() -> None:
    [reply] = ScriptedModel("s", MODEL).generate([asked("Ann saw New York")], Decoding(3))
    assert not reply.finished
    assert reply.text == " Ann | New"


def test_a_script_for_one_sentence() -> None:
    model = ScriptedModel("s", MODEL, replies={"Ann": "gibberish"})
    assert [r.text for r in model.generate([asked("Ann"), asked("Ann!")], Decoding(9))] == [" gibberish", " Ann"]


def test_types_and_checks() -> None:
    model = ScriptedModel("s", MODEL, confidence=0.8)
    so_far = asked("Ann saw New York") + render_list(SHAPE, ["Ann", "New York"]) + SHAPE.types
    [choice] = model.choose([so_far + render_typing_question(SHAPE, "Ann")], TYPES)
    assert shares(choice) == pytest.approx([0.8, 0.1, 0.1])
    so_far += render_typing_question(SHAPE, "Ann") + render_type_answer(SHAPE, "person")
    [choice] = model.choose([so_far + render_typing_question(SHAPE, "New York")], TYPES)
    assert choice.best_index == 1
    [choice] = model.choose([so_far + render_typing_question(SHAPE, "Oslo")], TYPES)
    assert choice.best_index == 2
    for label, best in (("person", 0), ("location", 1)):
        question = so_far + SHAPE.checks + render_check_question(SHAPE, "Ann", label)
        assert model.choose([question], [SHAPE.yes, SHAPE.no])[0].best_index == best
    assert shares(model.choose(["what?"], [" a;", " b;", " c;"])[0]) == pytest.approx([1 / 3] * 3)


def test_a_different_script_is_a_different_model() -> None:
    prints = {
        ScriptedModel("s", MODEL).fingerprint,
        ScriptedModel("s", {**MODEL, "Bo": "person"}).fingerprint,
        ScriptedModel("s", MODEL, confidence=0.5).fingerprint,
        ScriptedModel("s", MODEL, replies={"a": "b"}).fingerprint,
    }
    assert len(prints) == 4
    assert ScriptedModel("other", MODEL).fingerprint in prints


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0])
def test_confidence_is_a_probability(confidence: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        ScriptedModel("s", MODEL, confidence=confidence)
