"""Rules, models and scorers for the tests of the pipeline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from entsemble.backends.scripted import ScriptedModel
from entsemble.errors import PromptTooLongError
from entsemble.ner.decision import DecisionRules
from entsemble.ner.ledger import Fate
from entsemble.ner.member import Member
from entsemble.ner.results import SentenceResult
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.prompting.template import load_template
from entsemble.scoring.model import StackingModel
from entsemble.scoring.scorer import Scorer
from entsemble.types import Choice, Decoding, Reply, Span
from entsemble.voting.rules import VOTING_RULES, Verdict

MemberFactory = Callable[..., Member]
"""The fixture `member`."""

UNLIMITED = 10**6


def decision_rules(
    vote: str = "soft", threshold: float = 0.3, verifier: str | None = None, shots: int = 3, quorum: int | None = None
) -> DecisionRules:
    limits = DemonstrationLimits(shots, 800, 1.0)
    return DecisionRules(VOTING_RULES[vote], threshold, verifier, 0.5, limits, quorum=quorum)


def member_with(model: ScriptedModel) -> Member:
    return Member(model.name, model, load_template("ner-1"), load_template("zero-shot-1"))


def labelled_spans(result: SentenceResult) -> list[tuple[int, int, str]]:
    return [(mention.start, mention.end, mention.label) for mention in result.mentions]


def fates(result: SentenceResult) -> dict[str, Fate]:
    return {entry.surface: entry.fate for entry in result.ledger}


class RecordingModel(ScriptedModel):
    """A scripted model that records its prompts and refuses those longer than its context, in characters."""

    def __init__(self, lexicon: dict[str, str], context_size: int = UNLIMITED, name: str = "recording") -> None:
        super().__init__(name, lexicon)
        self.context_size = context_size
        self.prompts: list[str] = []

    def _record(self, prompts: Sequence[str]) -> None:
        self.prompts += prompts
        if any(len(prompt) > self.context_size for prompt in prompts):
            raise PromptTooLongError(f"more than {self.context_size} characters")

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        self._record(prompts)
        return super().generate(prompts, decoding)

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        self._record(prompts)
        return super().choose(prompts, options)


class FixedScorer(Scorer):
    """Gives each span a fixed label and score, and makes the ballots agree on the label."""

    def __init__(self, scores: Mapping[Span, tuple[str, float]]) -> None:
        self._scores, self.model = scores, StackingModel((), (), (), 0.0, 0.0, 0.3, 0)

    def score(self, text: str, verdicts: Mapping[Span, Verdict]) -> dict[Span, Verdict]:
        return {span: _unanimous(verdict, *self._scores[span]) for span, verdict in verdicts.items()}


def _unanimous(verdict: Verdict, label: str, score: float) -> Verdict:
    ballots = tuple(
        replace(
            ballot, log_probabilities={name: 0.0 if name == label else -math.inf for name in ballot.log_probabilities}
        )
        for ballot in verdict.ballots
    )
    return replace(verdict, label=label, score=score, ballots=ballots)
