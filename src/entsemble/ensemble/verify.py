"""Stage 4, type verification: one member is asked whether each typed span is what it was voted (EL4NER, step 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from entsemble.ensemble.member import Member
from entsemble.prompting.render import check_question, listing, type_answer, typing_question
from entsemble.prompting.template import Template
from entsemble.types import Usage


@dataclass(frozen=True, slots=True)
class Claim:
    """A surface and the readable label that it was voted; `asked` where the verifier shall judge it."""

    surface: str
    label: str
    asked: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """The verifier's probability of yes for each claim, `None` for claims it was not asked about."""

    yes: tuple[float | None, ...]
    usage: Usage


def verify(claims: Sequence[Claim], member: Member, template: Template, prompt: str) -> Verification:
    """Ask `member` about each claim.

    The prompt goes on from extraction's: the union, the voted types, then one check at a time, each on its own.
    """
    so_far = prompt + listing(template, [claim.surface for claim in claims]) + template.types
    so_far += "".join(typing_question(template, c.surface) + type_answer(template, c.label) for c in claims)
    so_far += template.checks
    yes: list[float | None] = []
    cost = Usage()
    for claim in claims:
        if not claim.asked:
            yes.append(None)
            continue
        question = so_far + check_question(template, claim.surface, claim.label)
        with member.asked() as model:
            [choice] = model.choose([question], [template.yes, template.no])
        yes.append(math.exp(choice.log_probabilities[0]))
        cost += choice.usage
    return Verification(tuple(yes), cost)
