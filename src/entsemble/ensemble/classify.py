"""Stage 3, span classification: every member types every span of the union (EL4NER, arXiv 2505.23038, step 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entsemble.ensemble.member import Candidate, Member
from entsemble.ensemble.voting import Ballot
from entsemble.prompting.render import listing, type_answer, typing_question
from entsemble.prompting.template import Template
from entsemble.types import NONE_LABEL, LabelSet, Usage


@dataclass(frozen=True, slots=True)
class Classification:
    """The ballots on each candidate, in the candidates' order, and what they cost by member."""

    ballots: tuple[tuple[Ballot, ...], ...]
    usage: tuple[tuple[str, Usage], ...]


def classify(
    candidates: Sequence[Candidate], labels: LabelSet, prompts: Sequence[tuple[Member, Template, str]]
) -> Classification:
    """Ask each member for the type of each candidate, as log-probabilities over the labels and `none`.

    The prompt goes on from extraction's: the union, then one candidate after another, each seeing what the same
    member answered before, as in the demonstrations.
    """
    by_member: list[list[Ballot]] = []
    usage: list[tuple[str, Usage]] = []
    for member, template, prompt in prompts:
        ballots, cost = _ballots_of(member, template, prompt, candidates, labels)
        by_member.append(ballots)
        usage.append((member.name, cost))
    return Classification(tuple(zip(*by_member, strict=True)), tuple(usage))


def _ballots_of(
    member: Member, template: Template, prompt: str, candidates: Sequence[Candidate], labels: LabelSet
) -> tuple[list[Ballot], Usage]:
    names = [*labels.names, NONE_LABEL]
    answers = [type_answer(template, word) for word in [*(x.readable for x in labels), NONE_LABEL]]
    so_far = prompt + listing(template, [c.surface for c in candidates]) + template.types
    ballots, cost = [], Usage()
    for candidate in candidates:
        so_far += typing_question(template, candidate.surface)
        with member.asked() as model:
            [choice] = model.choose([so_far], answers)
        so_far += answers[choice.best]
        cost += choice.usage
        beliefs = dict(zip(names, choice.log_probabilities, strict=True))
        ballots.append(Ballot(member.name, beliefs, choice.exact, member.name in candidate.members, member.weight))
    return ballots, cost
