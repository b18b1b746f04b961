"""Stage 4, type verification: one member confirms or denies labels (EL4NER, step 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from entsemble.ner.member import MemberPrompt
from entsemble.prompting.render import (
    render_check_question,
    render_list,
    render_type_answer,
    render_typing_question,
)
from entsemble.types import Usage


@dataclass(frozen=True, slots=True)
class Claim:
    """A surface, and the readable label that it was voted."""

    surface: str
    label: str


def verify(typed_surfaces: Sequence[Claim], claims: Sequence[Claim], prompt: MemberPrompt) -> tuple[list[float], Usage]:
    """Ask the verifier whether each claim is right (EL4NER, arXiv 2505.23038, step 4).

    The prompt continues the extraction prompt: the union of spans, their voted labels, then a check question. Claims
    are checked independently of one another.

    Args:
        typed_surfaces: each surface of the union once, with its voted label or `none`.
        claims: to be checked, about some of these surfaces.
        prompt: of the verifier, up to the extraction question.

    Returns:
        The probability of yes for each claim, and the usage.
    """
    member, template, context = prompt
    context += render_list(template, [claim.surface for claim in typed_surfaces]) + template.types
    for claim in typed_surfaces:
        context += render_typing_question(template, claim.surface) + render_type_answer(template, claim.label)
    context += template.checks
    yes_probabilities: list[float] = []
    usage = Usage()
    for claim in claims:
        question = context + render_check_question(template, claim.surface, claim.label)
        with member.attribute_errors() as model:
            [choice] = model.choose([question], [template.yes, template.no])
        yes_probabilities.append(math.exp(choice.log_probabilities[0]))
        usage += choice.usage
    return yes_probabilities, usage
