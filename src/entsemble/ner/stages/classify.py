"""Stage 3, span classification: every member types every span (EL4NER, step 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from entsemble.ner.member import MemberPrompt
from entsemble.prompting.render import render_list, render_type_answer, render_typing_question
from entsemble.types import NONE_LABEL, LabelSet, Usage
from entsemble.voting.candidates import Candidate
from entsemble.voting.rules import Ballot, apply_bias


@dataclass(frozen=True, slots=True)
class Classification:
    """The members' ballots.

    Attributes:
        ballots: for each candidate, one ballot per member that was asked, in the members' order.
        usage: (member name, usage) of each member that was asked.
    """

    ballots: tuple[tuple[Ballot, ...], ...]
    usage: tuple[tuple[str, Usage], ...]


def classify(
    candidates: Sequence[Candidate],
    labels: LabelSet,
    prompts: Sequence[MemberPrompt],
    skip_larger_above: float | None = None,
) -> Classification:
    """Ask each member for the type of each candidate (EL4NER, arXiv 2505.23038, step 3).

    A ballot holds log-probabilities over the labels and `none`. The prompt continues the extraction prompt: the union
    of spans, then one candidate after another. Each question follows the member's earlier answers, as in the
    demonstrations. An answer is the top label of the ballot: `none` if the member named no label.

    Args:
        candidates: the union.
        labels: to choose from.
        prompts: up to the extraction question, one per member.
        skip_larger_above: ask members in order of model size, and skip the larger ones for a candidate that all smaller
            ones typed alike with at least this probability. `None` asks every member about every candidate, as the
            paper does.
    """
    ballots: list[dict[str, Ballot]] = [{} for _ in candidates]
    usage: list[tuple[str, Usage]] = []
    for prompt in prompts if skip_larger_above is None else sorted(prompts, key=_parameter_count):
        agreed_labels = [_agreed_label([*by_voter.values()], skip_larger_above) for by_voter in ballots]
        member_ballots, member_usage = _cast_ballots(prompt, candidates, labels, agreed_labels)
        for by_voter, ballot in zip(ballots, member_ballots, strict=True):
            if ballot is not None:
                by_voter[ballot.voter] = ballot
        if member_usage.calls:
            usage.append((prompt.member.name, member_usage))
    member_names = [prompt.member.name for prompt in prompts]
    in_member_order = (tuple(by_voter[name] for name in member_names if name in by_voter) for by_voter in ballots)
    return Classification(tuple(in_member_order), tuple(usage))


def _parameter_count(prompt: MemberPrompt) -> float:
    """Number of the model's parameters; infinity if unknown, as for a server."""
    parameters = prompt.member.model.parameters
    return math.inf if parameters is None else parameters


def _agreed_label(ballots: Sequence[Ballot], min_probability: float | None) -> str | None:
    """The label that all ballots choose with at least this probability, if there is one."""
    if min_probability is None or not ballots:
        return None
    label = ballots[0].top_label
    is_agreed = all(ballot.top_label == label and ballot.probability(label) >= min_probability for ballot in ballots)
    return label if is_agreed else None


def _cast_ballots(
    prompt: MemberPrompt, candidates: Sequence[Candidate], labels: LabelSet, agreed_labels: Sequence[str | None]
) -> tuple[list[Ballot | None], Usage]:
    """One member's ballots, `None` where there is an agreed label, and their usage."""
    member, template, context = prompt
    label_names = [*labels.names, NONE_LABEL]
    answers = [render_type_answer(template, name) for name in (*(label.readable for label in labels), NONE_LABEL)]
    context += render_list(template, [candidate.surface for candidate in candidates]) + template.types
    ballots: list[Ballot | None] = []
    usage = Usage()
    for candidate, agreed_label in zip(candidates, agreed_labels, strict=True):
        context += render_typing_question(template, candidate.surface)
        if agreed_label is not None:
            context += answers[label_names.index(agreed_label)]
            ballots.append(None)
            continue
        with member.attribute_errors() as model:
            [choice] = model.choose([context], answers)
        usage += choice.usage
        log_probabilities = dict(zip(label_names, choice.log_probabilities, strict=True))
        if member.bias:
            log_probabilities = apply_bias(log_probabilities, member.bias)
        is_proposer = member.name in candidate.proposers
        ballot = Ballot(member.name, log_probabilities, choice.exact, is_proposer, member.weight)
        ballots.append(ballot)
        context += answers[label_names.index(ballot.top_label)]
    return ballots, usage
