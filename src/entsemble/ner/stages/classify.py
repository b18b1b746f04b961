"""Stage 3, span classification: every member types every span of the union (EL4NER, arXiv 2505.23038, step 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from entsemble.ner.member import Member
from entsemble.prompting.render import render_list, render_type_answer, render_typing_question
from entsemble.prompting.template import Template
from entsemble.types import NONE_LABEL, LabelSet, Usage
from entsemble.voting.candidates import Candidate
from entsemble.voting.rules import Ballot, apply_bias


@dataclass(frozen=True, slots=True)
class Classification:
    """The ballots on each candidate, in the candidates' and the members' order, and what they cost by member."""

    ballots: tuple[tuple[Ballot, ...], ...]
    usage: tuple[tuple[str, Usage], ...]


def classify(
    candidates: Sequence[Candidate],
    labels: LabelSet,
    prompts: Sequence[tuple[Member, Template, str]],
    skip_larger_above: float | None = None,
) -> Classification:
    """Ask each member for the type of each candidate, as log-probabilities over the labels and `none`.

    The prompt goes on from extraction's: the union, then one candidate after another, each seeing what the same
    member answered before, as in the demonstrations.

    Args:
        candidates: the union.
        labels: to choose from.
        prompts: each member with its template and the prompt that ends in the extraction question.
        skip_larger_above: ask members in order of model size, and skip the larger ones for a candidate that all smaller
            ones typed alike with at least this probability. `None` asks every member about every candidate, as the
            paper does.
    """
    cast: list[dict[str, Ballot]] = [{} for _ in candidates]
    usage: list[tuple[str, Usage]] = []
    for member, template, prompt in prompts if skip_larger_above is None else sorted(prompts, key=_size):
        settled = [_settled(list(ballots.values()), skip_larger_above) for ballots in cast]
        ballots, cost = _ballots_of(member, template, prompt, candidates, labels, settled)
        for ballots_so_far, ballot in zip(cast, ballots, strict=True):
            if ballot is not None:
                ballots_so_far[member.name] = ballot
        if cost.calls:
            usage.append((member.name, cost))
    names = [member.name for member, _, _ in prompts]
    return Classification(tuple(tuple(b[n] for n in names if n in b) for b in cast), tuple(usage))


def _size(asked: tuple[Member, Template, str]) -> float:
    """Parameters of the member's model; of unknown size, such as a server's, goes last."""
    return math.inf if asked[0].model.parameters is None else asked[0].model.parameters


def _settled(ballots: Sequence[Ballot], sure: float | None) -> str | None:
    """The label that nobody else need be asked about."""
    if sure is None or not ballots:
        return None
    label = ballots[0].top_label
    return label if all(b.top_label == label and b.probability(label) >= sure for b in ballots) else None


def _ballots_of(
    member: Member,
    template: Template,
    prompt: str,
    candidates: Sequence[Candidate],
    labels: LabelSet,
    settled: Sequence[str | None],
) -> tuple[list[Ballot | None], Usage]:
    names = [*labels.names, NONE_LABEL]
    answers = [render_type_answer(template, word) for word in [*(x.readable for x in labels), NONE_LABEL]]
    so_far = prompt + render_list(template, [c.surface for c in candidates]) + template.types
    ballots: list[Ballot | None] = []
    cost = Usage()
    for candidate, label in zip(candidates, settled, strict=True):
        so_far += render_typing_question(template, candidate.surface)
        if label is not None:
            so_far += answers[names.index(label)]
            ballots.append(None)
            continue
        with member.attribute_errors() as model:
            [choice] = model.choose([so_far], answers)
        cost += choice.usage
        beliefs = dict(zip(names, choice.log_probabilities, strict=True))
        best = choice.best
        if member.bias:
            beliefs = apply_bias(beliefs, member.bias)
            best = max(range(len(names)), key=lambda i: beliefs[names[i]])
        so_far += answers[best]
        ballots.append(Ballot(member.name, beliefs, choice.exact, member.name in candidate.proposers, member.weight))
    return ballots, cost
