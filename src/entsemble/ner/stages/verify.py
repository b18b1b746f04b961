"""Stage 4, type verification: one member is asked whether each typed span is what it was voted (EL4NER, step 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from entsemble.ner.member import Member
from entsemble.prompting.render import render_check_question, render_list, render_type_answer, render_typing_question
from entsemble.prompting.template import Template
from entsemble.types import Usage


@dataclass(frozen=True, slots=True)
class Claim:
    """A surface and a readable label that some place of it was voted."""

    surface: str
    label: str


def verify(
    typed: Sequence[Claim], asked: Sequence[Claim], member: Member, template: Template, prompt: str
) -> tuple[list[float], Usage]:
    """Ask `member` about each claim that is to be asked about; the probability of yes of each, and what it cost.

    The prompt goes on from extraction's: the union, the voted types, then one check at a time, each on its own.

    Args:
        typed: each surface of the union once, with what it was voted, or `none`.
        asked: claims about some of these surfaces.
        member: the verifier.
        template: its.
        prompt: its own up to the extraction question.
    """
    so_far = prompt + render_list(template, [claim.surface for claim in typed]) + template.types
    so_far += "".join(
        render_typing_question(template, c.surface) + render_type_answer(template, c.label) for c in typed
    )
    so_far += template.checks
    yes: list[float] = []
    cost = Usage()
    for claim in asked:
        question = so_far + render_check_question(template, claim.surface, claim.label)
        with member.attribute_errors() as model:
            [choice] = model.choose([question], [template.yes, template.no])
        yes.append(math.exp(choice.log_probabilities[0]))
        cost += choice.usage
    return yes, cost
