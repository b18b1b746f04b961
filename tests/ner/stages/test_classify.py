"""Members that need not be asked, and what the others are asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from entsemble.backends.scripted import ScriptedModel
from entsemble.ner.pipeline import Pipeline
from entsemble.types import Choice, LabelSet, Usage
from tests.ner.ner_factories import decision_rules, member_with

TEXT = "Ann left Oslo."
RULES = decision_rules(shots=0)
LEXICON = {"Ann": "person", "Oslo": "location"}


class SizedModel(ScriptedModel):
    """Has a size, records its typing and check prompts, and is undecided about one surface."""

    def __init__(self, name: str, lexicon: dict[str, str], parameters: int | None, undecided: str = "-") -> None:
        super().__init__(name, lexicon)
        self.parameters, self._undecided = parameters, undecided
        self.prompts: list[str] = []

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        self.prompts += prompts
        if prompts[0].endswith(f"{self._undecided} ="):
            return [Choice(tuple(math.log(1 / len(options)) for _ in options), Usage(calls=1))]
        return super().choose(prompts, options)


def check_count(model: SizedModel) -> int:
    return sum("?" in prompt.splitlines()[-1] for prompt in model.prompts)


def test_larger_members_skip_what_smaller_ones_are_confident_about(places: LabelSet) -> None:
    large, small = SizedModel("large", LEXICON, 200), SizedModel("small", LEXICON, 100)
    members = [member_with(large), member_with(small)]
    complete = Pipeline(members, places, None, RULES).run(TEXT)
    assert (len(large.prompts), len(small.prompts)) == (2, 2)
    large.prompts.clear()
    result = Pipeline(members, places, None, replace(RULES, skip_larger_above=0.5)).run(TEXT)
    assert large.prompts == []
    assert [mention.span for mention in result.mentions] == [mention.span for mention in complete.mentions]
    assert [dict(mention.votes) for mention in result.mentions] == [{"small": "PER"}, {"small": "LOC"}]
    assert result.member_mentions["large"] == ()
    assert "large" not in [name for stage, name, _ in result.costs if stage == "classification"]


def test_all_members_are_asked_if_none_is_confident(places: LabelSet) -> None:
    large, small = SizedModel("large", {"Ann": "person"}, None), SizedModel("small", {"Ann": "person"}, 100)
    members = [member_with(large), member_with(small)]
    Pipeline(members, places, None, replace(RULES, skip_larger_above=0.999)).run(TEXT)
    assert (len(large.prompts), len(small.prompts)) == (1, 1)


def test_the_prompt_of_a_larger_member_holds_the_labels_that_it_skipped(places: LabelSet) -> None:
    large, small = SizedModel("large", LEXICON, 200), SizedModel("small", LEXICON, 100, undecided="Oslo")
    members = [member_with(large), member_with(small)]
    result = Pipeline(members, places, None, replace(RULES, skip_larger_above=0.5)).run(TEXT)
    [prompt] = large.prompts
    assert prompt.endswith("Ann = person; Oslo =")
    assert [sorted(mention.votes) for mention in result.mentions] == [["small"], ["large", "small"]]


def test_scores_of_unanimous_votes_are_not_verified(places: LabelSet) -> None:
    verifier, other = SizedModel("verifier", {"Ann": "person"}, 100), SizedModel("other", LEXICON, 100)
    members, rules = [member_with(other), member_with(verifier)], replace(RULES, verifier="verifier")
    complete = Pipeline(members, places, None, rules).run(TEXT)
    checks = check_count(verifier)
    verifier.prompts.clear()
    result = Pipeline(members, places, None, replace(rules, skip_verification_above=0.8)).run(TEXT)
    assert check_count(verifier) == checks - 1
    [ann] = [mention for mention in result.mentions if mention.text == "Ann"]
    assert set(complete.verifications) - set(result.verifications) == {ann.span}


def test_an_answer_that_names_no_label_is_none_in_the_prompt_as_on_the_ballot(places: LabelSet) -> None:
    model = SizedModel("only", LEXICON, 100, undecided="Ann")
    result = Pipeline([member_with(model)], places, None, decision_rules("majority", shots=0)).run(TEXT)
    assert model.prompts[-1].endswith("Ann = none; Oslo =")
    assert [mention.text for mention in result.mentions] == ["Oslo"]
