"""What need not be asked is not asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from entsemble.backends.scripted import ScriptedModel
from entsemble.ner.decision import DecisionRules
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.prompting.template import load_template
from entsemble.types import Choice, LabelSet, Usage
from entsemble.voting.rules import VOTING_RULES

TEXT = "Ann left Oslo."
RULES = DecisionRules(VOTING_RULES["soft"], 0.3, None, 0.5, DemonstrationLimits(0))


class Noting(ScriptedModel):
    """Remembers the prompts of typing and checking, and cannot tell what `unsure` is."""

    def __init__(self, name: str, surfaces: dict[str, str], parameters: int | None, unsure: str = "-") -> None:
        super().__init__(name, surfaces)
        self.parameters, self.unsure = parameters, unsure
        self.asked: list[str] = []

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        self.asked += prompts
        if prompts[0].endswith(f"{self.unsure} ="):
            return [Choice(tuple(math.log(1 / len(options)) for _ in options), Usage(calls=1))]
        return super().choose(prompts, options)


Make = Callable[..., tuple[Noting, Member]]


@pytest.fixture
def noting() -> Make:
    def make(*told: Any) -> tuple[Noting, Member]:
        model, name = Noting(*told), told[0]
        return model, Member(name, model, load_template("ner-1"), load_template("zero-shot-1"))

    return make


def test_the_larger_is_spared_what_the_smaller_is_sure_of(noting: Make, places: LabelSet) -> None:
    large, first = noting("large", {"Ann": "person", "Oslo": "location"}, 200)
    small, second = noting("small", {"Ann": "person", "Oslo": "location"}, 100)
    everything = Pipeline([first, second], places, None, RULES).run(TEXT)
    assert (len(large.asked), len(small.asked)) == (2, 2)
    large.asked.clear()
    spared = Pipeline([first, second], places, None, replace(RULES, skip_larger_above=0.5)).run(TEXT)
    assert large.asked == []
    assert [m.span for m in spared.mentions] == [m.span for m in everything.mentions]
    assert [dict(m.votes) for m in spared.mentions] == [{"small": "PER"}, {"small": "LOC"}]
    assert spared.member_mentions["large"] == ()
    assert "large" not in [member for stage, member, _ in spared.costs if stage == "classification"]


def test_one_that_nobody_is_sure_of_is_put_to_all(noting: Make, places: LabelSet) -> None:
    large, first = noting("large", {"Ann": "person"}, None)
    small, second = noting("small", {"Ann": "person"}, 100)
    Pipeline([first, second], places, None, replace(RULES, skip_larger_above=0.999)).run(TEXT)
    assert (len(large.asked), len(small.asked)) == (1, 1)


def test_the_rest_is_asked_with_the_settled_before_it(noting: Make, places: LabelSet) -> None:
    large, first = noting("large", {"Ann": "person", "Oslo": "location"}, 200)
    _, second = noting("small", {"Ann": "person", "Oslo": "location"}, 100, "Oslo")
    result = Pipeline([first, second], places, None, replace(RULES, skip_larger_above=0.5)).run(TEXT)
    [prompt] = large.asked
    assert prompt.endswith("Ann = person; Oslo =")
    assert [sorted(m.votes) for m in result.mentions] == [["small"], ["large", "small"]]


def test_what_all_agree_on_is_not_verified(noting: Make, places: LabelSet) -> None:
    judge, third = noting("judge", {"Ann": "person"}, 100)
    _, first = noting("a", {"Ann": "person", "Oslo": "location"}, 100)
    rules = replace(RULES, verifier="judge")
    whole = Pipeline([first, third], places, None, rules).run(TEXT)
    checks = len([a for a in judge.asked if "?" in a.splitlines()[-1]])
    judge.asked.clear()
    spared = Pipeline([first, third], places, None, replace(rules, skip_verification_above=0.8)).run(TEXT)
    assert len([a for a in judge.asked if "?" in a.splitlines()[-1]]) == checks - 1
    assert set(whole.verifications) - set(spared.verifications) == {m.span for m in spared.mentions if m.text == "Ann"}
