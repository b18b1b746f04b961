"""EL4NER from end to end, for one sentence. Read this first: the stages are one file each, in the order of this one.

    retrieve   demonstrations, by span-level similarity
    extract    every member lists spans, the union is kept
    classify   every member types every span, they vote
    verify     one member is asked whether the vote is right

Xiao et al., 2025: EL4NER, arXiv 2505.23038.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from entsemble._lib.text import one_line
from entsemble.errors import MemberDownError, PromptTooLongError
from entsemble.ner.ledger import Fate, LedgerEntry
from entsemble.ner.member import Member
from entsemble.ner.stages.classify import classify
from entsemble.ner.stages.extract import extract
from entsemble.ner.stages.retrieve import DemonstrationLimits, Retrieval, retrieve
from entsemble.ner.stages.verify import Claim, verify
from entsemble.prompting.align import find_occurrences
from entsemble.prompting.demonstration import Demonstration
from entsemble.prompting.render import render_extraction_prompt
from entsemble.prompting.template import Template
from entsemble.retrieval.index import PoolIndex
from entsemble.scoring.scorer import Scorer
from entsemble.types import NONE_LABEL, LabelSet, Mention, Span, Usage
from entsemble.voting.candidates import Candidate, Proposer
from entsemble.voting.overlaps import are_incompatible, resolve_overlaps
from entsemble.voting.rules import Ballot, Verdict, VotingRule

Asked = tuple[Member, Template, str]
"""A member, its template, and its prompt up to the extraction question."""

Costs = tuple[tuple[str, str, Usage], ...]
"""(stage, member, what it cost), as often as it was asked."""


DEFAULT_THRESHOLD = 0.4
"""Of a vote's score, where none is asked for and nothing was learnt."""


@dataclass(frozen=True, slots=True)
class DecisionRules:
    """How the answers of the members are put together.

    Attributes:
        voting_rule: one of `voting.rules.VOTING_RULES`.
        threshold: a mention needs at least this score; `None` leaves it to what was learnt, or takes `THRESHOLD`.
        verifier: the member that verifies; `None` leaves stage 4 out.
        verifier_threshold: the verifier denies what it finds less likely than this.
        demonstration_limits: demonstrations a sentence.
        skip_larger_above: the larger members skip a span that all smaller members type alike with at least this
            probability; `None` never skips.
        skip_verification_above: a span that all voters type alike, with at least this score, is not verified; `None`
            verifies all.
        quorum: members that must answer a sentence; `None` needs all.
    """

    voting_rule: VotingRule
    threshold: float | None
    verifier: str | None
    verifier_threshold: float
    demonstration_limits: DemonstrationLimits
    skip_larger_above: float | None = None
    skip_verification_above: float | None = None
    quorum: int | None = None


@dataclass(frozen=True, slots=True)
class SentenceResult:
    """What one sentence gave.

    Attributes:
        mentions: in text order.
        member_mentions: member name -> the mentions by its own proposals and ballots alone, under the same rules.
        candidate_spans: the union's spans.
        voted_labels: each span's voted label, `None` for no entity, before verification and overlap.
        verifications: the spans that the verifier was asked about, and whether it let each through.
        demonstration_ids: ids of the pool sentences shown, the most similar last.
        ledger: what became of everything proposed.
        costs: by stage and member.
        verdicts: the vote's own on each of the union's spans, before anything that was learnt.
        absent_members: member name -> why it is not in this answer.
    """

    mentions: tuple[Mention, ...]
    member_mentions: Mapping[str, tuple[Mention, ...]]
    candidate_spans: tuple[Span, ...]
    voted_labels: Mapping[Span, str | None]
    verifications: Mapping[Span, bool]
    demonstration_ids: tuple[str, ...]
    ledger: tuple[LedgerEntry, ...]
    costs: Costs
    verdicts: Mapping[Span, Verdict] = field(default_factory=dict)
    absent_members: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A place of a candidate.

    Attributes:
        span, candidate: which.
        vote: the vote's verdict.
        verdict: the one that counts.
        yes: the verifier's probability of yes, if it was asked.
    """

    span: Span
    candidate: Candidate
    vote: Verdict
    verdict: Verdict
    yes: float | None


class Pipeline:
    """Finds the mentions of a sentence.

    Args:
        members: at least one; names unique.
        labels: what is asked for.
        pool: where demonstrations come from; `None` asks without any.
        rules: how answers are put together.
        proposers: propose candidates besides the members, in this order; some vote as well.
        scorer: scores the candidates instead of the vote.
    """

    def __init__(
        self,
        members: Sequence[Member],
        labels: LabelSet,
        pool: PoolIndex | None,
        rules: DecisionRules,
        proposers: Sequence[Proposer] = (),
        scorer: Scorer | None = None,
    ) -> None:
        self.members, self.labels, self.pool, self.rules = tuple(members), labels, pool, rules
        self.proposers, self.scorer = tuple(proposers), scorer
        asked = rules.threshold
        self._vote_threshold = DEFAULT_THRESHOLD if asked is None else asked
        self._threshold = scorer.model.threshold if scorer and asked is None else self._vote_threshold

    def with_scorer(self, scorer: Scorer, proposers: Sequence[Proposer]) -> Pipeline:
        """The same pipeline with a learned scorer, and with the proposers that it was trained with."""
        return Pipeline(self.members, self.labels, self.pool, self.rules, proposers, scorer)

    def run(self, text: str) -> SentenceResult:
        """All four stages on one sentence.

        With as many of the demonstrations as fit every member's context: where a prompt is too long, the less similar
        half is left out. Where a member is down and the quorum allows it, the answer is what the others would have
        given without it.

        Raises:
            MemberDownError: a member is gone, or answers nonsense, and the quorum needs it.
            PromptTooLongError: the sentence alone does not fit a member's context.
        """
        absent: dict[str, str] = {}
        costs: list[tuple[str, str, Usage]] = []  # of all tries
        while True:
            members = [m for m in self.members if m.name not in absent]
            try:
                return replace(self._sentence(text, members, costs), absent_members=absent)
            except MemberDownError as error:
                absent[error.member] = error.problem
                if self.rules.quorum is None or len(members) <= self.rules.quorum:
                    raise

    def _sentence(self, text: str, members: Sequence[Member], costs: list[tuple[str, str, Usage]]) -> SentenceResult:
        found = Retrieval()
        if self.pool is not None:
            found = retrieve(text, members, self.labels, self.pool, self.rules.demonstration_limits)
        costs += [("retrieval", *cost) for cost in found.usage]
        return self._fitting(text, members, found.demonstrations, costs)

    def _fitting(
        self,
        text: str,
        members: Sequence[Member],
        shown: Sequence[Demonstration],
        costs: list[tuple[str, str, Usage]],
    ) -> SentenceResult:
        prompts = [
            (
                m,
                m.template,
                render_extraction_prompt(
                    m.template, self.labels, m.select_demonstrations(shown), text, checks=m.name == self.rules.verifier
                ),
            )
            for m in members
        ]
        try:
            return self._answer(text, prompts, tuple(d.id for d in shown), costs)
        except PromptTooLongError:
            if not shown:
                raise
        return self._fitting(text, members, shown[(len(shown) + 1) // 2 :], costs)

    def _answer(
        self, text: str, prompts: Sequence[Asked], shown: tuple[str, ...], costs: list[tuple[str, str, Usage]]
    ) -> SentenceResult:
        """Stages 2 to 4, with these prompts."""
        extraction = extract(text, prompts)
        costs += [("extraction", *cost) for cost in extraction.usage]
        judged = self._judge(text, extraction.candidates, prompts, costs)
        mentions, ledger = self._decide(text, judged)
        return SentenceResult(
            mentions=mentions,
            member_mentions={m.name: self._alone(text, judged, m.name) for m, _, _ in prompts},
            candidate_spans=tuple(j.span for j in judged),
            voted_labels={j.span: _label(j) for j in judged},
            verifications={j.span: self._denial(j) is None for j in judged if j.yes is not None},
            demonstration_ids=shown,
            ledger=(*extraction.unusable, *ledger),
            costs=tuple(costs),
            verdicts={j.span: j.vote for j in judged},
        )

    def _judge(
        self, text: str, candidates: Sequence[Candidate], prompts: Sequence[Asked], costs: list[tuple[str, str, Usage]]
    ) -> list[_Judged]:
        """Stages 3 and 4."""
        for proposer in self.proposers:
            candidates = proposer.propose(text, candidates)
        if not candidates:
            return []
        typed = classify(candidates, self.labels, prompts, self.rules.skip_larger_above)
        costs += [("classification", *cost) for cost in typed.usage]
        proposer_ballots = [proposer.ballots(text, candidates) for proposer in self.proposers]
        votes = [
            self.rules.voting_rule((*member_ballots, *(ballot for ballot in others if ballot is not None)))
            for member_ballots, *others in zip(typed.ballots, *proposer_ballots, strict=True)
        ]
        places = [(span, c, vote) for c, vote in zip(candidates, votes, strict=True) for span in _places(text, c)]
        verdicts: Mapping[Span, Verdict] = {span: vote for span, _, vote in places}
        if self.scorer:
            verdicts = self.scorer.score(text, verdicts)
        yes = self._verify([(c, verdicts[span]) for span, c, _ in places], prompts, costs)
        return [
            _Judged(span, c, vote, verdicts[span], answer) for (span, c, vote), answer in zip(places, yes, strict=True)
        ]

    def _verify(
        self, told: Sequence[tuple[Candidate, Verdict]], prompts: Sequence[Asked], costs: list[tuple[str, str, Usage]]
    ) -> list[float | None]:
        """Stage 4: of each place the probability of yes, `None` where nobody is asked; alike places are asked once.

        What is voted no entity, is sure, or stays below the threshold anyway is not asked about.
        """
        asked_last = [asked for asked in prompts if asked[0].name == self.rules.verifier]
        words = {x.name: x.readable for x in self.labels}
        entity = [v.label != NONE_LABEL and self._reaches(v) for _, v in told]
        said = [
            Claim(c.surface, words[v.label] if named else NONE_LABEL)
            for (c, v), named in zip(told, entity, strict=True)
        ]
        asked = [named and not self._unanimous(v) for (_, v), named in zip(told, entity, strict=True)]
        checks = [*dict.fromkeys(claim for claim, open_ in zip(said, asked, strict=True) if open_)]
        if not asked_last or not checks:
            return [None] * len(told)
        typed = {claim.surface: claim for claim in said}
        for i in sorted(range(len(told)), key=lambda i: told[i][1].score if entity[i] else -1.0):
            typed[said[i].surface] = said[i]  # a surface is typed once, as at its most probable place
        [(verifier, template, prompt)] = asked_last
        answers, usage = verify([*typed.values()], checks, verifier, template, prompt)
        costs.append(("verification", verifier.name, usage))
        yes = dict(zip(checks, answers, strict=True))
        return [yes[claim] if open_ else None for claim, open_ in zip(said, asked, strict=True)]

    def _reaches(self, verdict: Verdict) -> bool:
        return verdict.score >= self._threshold

    def _unanimous(self, verdict: Verdict) -> bool:
        """Whether all agree beyond what a verifier could add."""
        sure = self.rules.skip_verification_above
        return sure is not None and verdict.score >= sure and all(b.top_label == verdict.label for b in verdict.ballots)

    def _denial(self, judged: _Judged) -> float | None:
        """The verifier's probability of yes, where it denies."""
        denied = judged.yes is not None and judged.yes < self.rules.verifier_threshold
        return judged.yes if denied else None

    def _decide(self, text: str, judged: Sequence[_Judged]) -> tuple[tuple[Mention, ...], list[LedgerEntry]]:
        """Mentions, and a ledger line for each place."""
        passed = [_mention(text, j.span, j.verdict) for j in judged if self._passes(j)]
        kept, lost = resolve_overlaps(passed, nested=self.labels.nested)
        rivals = {mention.span: rival for mention, rival in lost}
        ledger = [
            LedgerEntry(j.span.of(text), fate, j.candidate.proposers, j.span, j.verdict.label, detail)
            for j in judged
            for fate, detail in [self._fate(j, kept, rivals)]
        ]
        return tuple(kept), ledger

    def _passes(self, judged: _Judged) -> bool:
        return _label(judged) is not None and self._reaches(judged.verdict) and self._denial(judged) is None

    def _fate(self, judged: _Judged, kept: Sequence[Mention], rivals: Mapping[Span, Mention]) -> tuple[Fate, str]:
        """How a place ended, where these mentions were kept, and each of those that did not lost to that rival."""
        score = f"score {judged.verdict.score:.3f}"
        if self._passes(judged):
            rival = rivals.get(judged.span)
            return (Fate.OVERLAPPED, f"{rival.text} ({rival.label})") if rival else (Fate.KEPT, score)
        if _label(judged) is None:
            return Fate.OUTVOTED, f"nearest label {judged.verdict.best_label}, {judged.verdict.score:.3f}"
        if not self._reaches(judged.verdict):
            excluding = [m for m in kept if are_incompatible(judged.span, m.span, nested=self.labels.nested)]
            return Fate.BELOW_THRESHOLD, score + "".join(f", beside {m.text} ({m.label})" for m in excluding)
        return Fate.DENIED, f"probability of yes {self._denial(judged):.3f}"

    def _alone(self, text: str, judged: Sequence[_Judged], member: str) -> tuple[Mention, ...]:
        """What `member` would answer with its own proposals and its own vote; nothing where it was not asked."""
        mentions = []
        for j in judged:
            if member not in j.candidate.proposers:
                continue
            ballots: list[Ballot] = [b for b in j.verdict.ballots if b.voter == member]
            if not ballots:
                continue
            verdict = self.rules.voting_rule(ballots)
            if verdict.label != NONE_LABEL and verdict.score >= self._vote_threshold:
                mentions.append(_mention(text, j.span, verdict))
        return tuple(resolve_overlaps(mentions, nested=self.labels.nested)[0])


def _label(judged: _Judged) -> str | None:
    return None if judged.verdict.label == NONE_LABEL else judged.verdict.label


def _places(text: str, candidate: Candidate) -> list[Span]:
    """Every place of the candidate: a repeated mention is as many mentions."""
    return find_occurrences(one_line(text), candidate.surface)


def _mention(text: str, span: Span, verdict: Verdict) -> Mention:
    votes = {ballot.voter: ballot.top_label for ballot in verdict.ballots}
    return Mention(span.start, span.end, verdict.label, span.of(text), round(verdict.score, 4), votes)
