"""EL4NER for one sentence: its four stages and two retry policies.

Read this first; each stage is a file in `stages/`:

    retrieve   demonstrations by span-level similarity
    extract    every member lists spans; their union is kept
    classify   every member types every span, and they vote
    verify     one member is asked to confirm each typed span

A sentence that stands in the pool is answered from it (`pool_answer.py`), and no model is asked. Where voices answer
first, members are asked only about the candidates that the voices leave open, and about their own.

Xiao et al., 2025: EL4NER, arXiv 2505.23038.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from entsemble._lib.text import one_line
from entsemble.errors import MemberDownError, PromptTooLongError
from entsemble.ner.decision import Decision, DecisionRules, ScoredSpan
from entsemble.ner.ledger import LedgerEntry
from entsemble.ner.member import Member, MemberPrompt
from entsemble.ner.pool_answer import answer_sentence, with_other_labels
from entsemble.ner.results import Cost, SentenceResult
from entsemble.ner.stages.classify import classify
from entsemble.ner.stages.extract import extract
from entsemble.ner.stages.retrieve import retrieve
from entsemble.ner.stages.verify import Claim, verify
from entsemble.pool.answers import PoolAnswers
from entsemble.prompting.align import find_occurrences
from entsemble.prompting.demonstration import Demonstration
from entsemble.prompting.render import render_extraction_prompt
from entsemble.retrieval.index import PoolIndex
from entsemble.scoring.scorer import Scorer
from entsemble.types import NONE_LABEL, LabelSet, Span
from entsemble.voting.candidates import Candidate, Proposer
from entsemble.voting.rules import Verdict


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What stages 2 to 4 work on.

    Attributes:
        text: the sentence.
        prompts: of the members that take part, up to the extraction question.
        open_surfaces: candidates that members are asked about, beside their own; `None` for all.
        costs: of all attempts; each stage adds its own.
    """

    text: str
    prompts: Sequence[MemberPrompt] = ()
    open_surfaces: Collection[str] | None = None
    costs: list[Cost] = field(default_factory=list)

    def asks_about(self, candidate: Candidate) -> bool:
        """Whether the members are asked about a candidate."""
        if self.open_surfaces is None or candidate.surface in self.open_surfaces:
            return True
        return any(prompt.member.name in candidate.proposers for prompt in self.prompts)


class Pipeline:
    """Finds the mentions of a sentence.

    Args:
        members: at least one; names unique.
        labels: to find.
        pool: source of demonstrations; `None` for prompts without any.
        rules: how replies are combined.
        proposers: propose candidates besides the members, in this order; some vote as well.
        scorer: scores candidates instead of the vote.
        answers: the pool's, for sentences that stand in it; may be replaced when the pool changes.
    """

    def __init__(
        self,
        members: Sequence[Member],
        labels: LabelSet,
        pool: PoolIndex | None,
        rules: DecisionRules,
        proposers: Sequence[Proposer] = (),
        scorer: Scorer | None = None,
        answers: PoolAnswers | None = None,
    ) -> None:
        self.members, self.labels, self.pool, self.rules = tuple(members), labels, pool, rules
        self.proposers, self.scorer, self.answers = tuple(proposers), scorer, answers
        threshold = scorer.model.threshold if scorer and rules.threshold is None else rules.vote_threshold
        self._decision = Decision(rules, threshold, labels.nested)

    def with_scorer(self, scorer: Scorer, proposers: Sequence[Proposer]) -> Pipeline:
        """The same pipeline with a learned scorer, and with the proposers that it was trained with."""
        return Pipeline(self.members, self.labels, self.pool, self.rules, proposers, scorer, self.answers)

    def without_members(self) -> Pipeline:
        """The same pipeline, whose proposers answer alone."""
        return Pipeline((), self.labels, None, self.rules, self.proposers, self.scorer, self.answers)

    def with_answers(self, answers: PoolAnswers) -> Pipeline:
        """The same pipeline, which answers sentences that stand in the pool from it."""
        return Pipeline(self.members, self.labels, self.pool, self.rules, self.proposers, self.scorer, answers)

    def run(self, text: str) -> SentenceResult:
        """The mentions of one sentence: the pool's if it stands there, and otherwise those of the four stages.

        Raises as `_run_stages` does.
        """
        answers = self.answers  # a change of the pool may replace them meanwhile
        answer = answers.find(text) if answers else None
        if answers is None or answer is None:
            return self._run_stages(text)
        answered = answer_sentence(text, answer, self._decision)
        if answers.labels.issuperset(self.labels.names):
            return answered
        result = self._run_stages(text)
        return with_other_labels(answered, result, answers.labels, nested=self.labels.nested)

    def _run_stages(self, text: str) -> SentenceResult:
        """All four stages on one sentence.

        Demonstrations that do not fit every member's context are left out, the less similar half at a time. If a
        member is down and the quorum allows it, the result is that of the other members alone.

        Raises:
            MemberDownError: a member is unavailable or replies nonsense, and the quorum needs it.
            PromptTooLongError: the sentence does not fit a member's context even without demonstrations.
        """
        open_surfaces: frozenset[str] | None = None  # all
        if self._asks_voices_first:
            result, open_surfaces = self._run_voices(text)
            if not open_surfaces:
                return result
        absent_members: dict[str, str] = {}
        costs: list[Cost] = []  # of all attempts
        while True:
            members = [member for member in self.members if member.name not in absent_members]
            try:
                result = self._run_members(text, members, costs, open_surfaces)
            except MemberDownError as error:
                absent_members[error.member] = error.problem
                if self.rules.quorum is None or len(members) <= self.rules.quorum:
                    raise
            else:
                return replace(result, absent_members=absent_members)

    @property
    def _asks_voices_first(self) -> bool:
        return self.rules.effort is not None and self.scorer is not None and bool(self.members)

    def _run_voices(self, text: str) -> tuple[SentenceResult, frozenset[str]]:
        """The result without the members, and the surfaces that they can still change it by."""
        attempt = _Attempt(text)
        scored_spans, _ = self._score_candidates(attempt)
        open_surfaces = {
            scored.candidate.surface for scored in scored_spans if self.rules.leaves_open(scored.verdict.score)
        }
        return self._to_result(attempt, scored_spans), frozenset(open_surfaces)

    def _run_members(
        self, text: str, members: Sequence[Member], costs: list[Cost], open_surfaces: Collection[str] | None
    ) -> SentenceResult:
        """All stages with these members, retried with fewer demonstrations if a prompt is too long."""
        demonstrations: Sequence[Demonstration] = ()
        if self.pool is not None:
            retrieval = retrieve(text, members, self.labels, self.pool, self.rules.demonstration_limits)
            costs += [("retrieval", *cost) for cost in retrieval.usage]
            demonstrations = retrieval.demonstrations
        while True:
            try:
                return self._run_attempt(text, members, demonstrations, costs, open_surfaces)
            except PromptTooLongError:
                if not demonstrations:
                    raise
            demonstrations = demonstrations[(len(demonstrations) + 1) // 2 :]

    def _run_attempt(
        self,
        text: str,
        members: Sequence[Member],
        demonstrations: Sequence[Demonstration],
        costs: list[Cost],
        open_surfaces: Collection[str] | None,
    ) -> SentenceResult:
        """Stages 2 to 4."""
        prompts = [self._extraction_prompt(text, member, demonstrations) for member in members]
        attempt = _Attempt(text, prompts, open_surfaces, costs)
        scored_spans, unusable = self._score_candidates(attempt)
        return self._to_result(attempt, scored_spans, unusable, demonstrations)

    def _score_candidates(self, attempt: _Attempt) -> tuple[list[ScoredSpan], tuple[LedgerEntry, ...]]:
        """The candidates of members and proposers with their scores, and the members' replies that are none."""
        extraction = extract(attempt.text, attempt.prompts)
        attempt.costs.extend(("extraction", *cost) for cost in extraction.usage)
        candidates: Sequence[Candidate] = extraction.candidates
        for proposer in self.proposers:
            candidates = proposer.propose(attempt.text, candidates)
        scored_spans = self._score(attempt, candidates) if candidates else []
        return scored_spans, extraction.unusable

    def _to_result(
        self,
        attempt: _Attempt,
        scored_spans: Sequence[ScoredSpan],
        unusable: Sequence[LedgerEntry] = (),
        demonstrations: Sequence[Demonstration] = (),
    ) -> SentenceResult:
        mentions, ledger = self._decision.select_mentions(attempt.text, scored_spans)
        names = [prompt.member.name for prompt in attempt.prompts]
        return SentenceResult(
            mentions=mentions,
            member_mentions={name: self._decision.member_mentions(attempt.text, scored_spans, name) for name in names},
            candidate_spans=tuple(scored.span for scored in scored_spans),
            voted_labels={scored.span: scored.label for scored in scored_spans},
            verifications={
                scored.span: not self._decision.is_denied(scored)
                for scored in scored_spans
                if scored.yes_probability is not None
            },
            demonstration_ids=tuple(demonstration.id for demonstration in demonstrations),
            ledger=(*unusable, *ledger),
            costs=tuple(attempt.costs),
            verdicts={scored.span: scored.vote_verdict for scored in scored_spans},
        )

    def _extraction_prompt(self, text: str, member: Member, demonstrations: Sequence[Demonstration]) -> MemberPrompt:
        prompt = render_extraction_prompt(
            member.template,
            self.labels,
            member.select_demonstrations(demonstrations),
            text,
            checks=member.name == self.rules.verifier,
        )
        return MemberPrompt(member, member.template, prompt)

    def _score(self, attempt: _Attempt, candidates: Sequence[Candidate]) -> list[ScoredSpan]:
        """Stages 3 and 4, for every occurrence of every candidate: a repeated mention is several mentions."""
        votes = self._vote(attempt, candidates)
        line = one_line(attempt.text)
        occurrences = [
            (span, candidate, vote)
            for candidate, vote in zip(candidates, votes, strict=True)
            for span in find_occurrences(line, candidate.surface)
        ]
        verdicts: Mapping[Span, Verdict] = {span: vote for span, _, vote in occurrences}
        if self.scorer:
            verdicts = self.scorer.score(attempt.text, verdicts)
        typed_spans = [(candidate, verdicts[span]) for span, candidate, _ in occurrences]
        yes_probabilities = self._verify(attempt, typed_spans)
        return [
            ScoredSpan(span, candidate, vote, verdicts[span], yes_probability)
            for (span, candidate, vote), yes_probability in zip(occurrences, yes_probabilities, strict=True)
        ]

    def _vote(self, attempt: _Attempt, candidates: Sequence[Candidate]) -> list[Verdict]:
        """Stage 3: a verdict per candidate, by the ballots of the members and of the proposers that vote."""
        open_candidates = [candidate for candidate in candidates if attempt.asks_about(candidate)]
        classification = classify(open_candidates, self.labels, attempt.prompts, self.rules.skip_larger_above)
        attempt.costs.extend(("classification", *cost) for cost in classification.usage)
        ballots_by_surface = dict(zip((c.surface for c in open_candidates), classification.ballots, strict=True))
        ballots = [ballots_by_surface.get(candidate.surface, ()) for candidate in candidates]
        proposer_ballots = [proposer.ballots(attempt.text, candidates) for proposer in self.proposers]
        return [
            self.rules.voting_rule((*member_ballots, *(ballot for ballot in other_ballots if ballot is not None)))
            for member_ballots, *other_ballots in zip(ballots, *proposer_ballots, strict=True)
        ]

    def _verify(self, attempt: _Attempt, typed_spans: Sequence[tuple[Candidate, Verdict]]) -> list[float | None]:
        """Stage 4: for each typed span the verifier's probability of yes, or `None` if it is not asked.

        Spans with the same surface and label are verified once. No entity, a score below the threshold, and a
        unanimous vote (see `DecisionRules.skips_verification`) are not verified.
        """
        readable_names = {label.name: label.readable for label in self.labels}
        to_check: dict[Claim, list[int]] = {}
        claims: dict[str, Claim] = {}  # one per surface in the prompt: that of its highest-scoring span
        top_scores: dict[str, float] = {}
        for index, (candidate, verdict) in enumerate(typed_spans):
            surface = candidate.surface
            is_mention = verdict.label != NONE_LABEL and self._decision.reaches_threshold(verdict)
            claim = Claim(surface, readable_names[verdict.label] if is_mention else NONE_LABEL)
            score = verdict.score if is_mention else -1.0
            if score >= top_scores.get(surface, score):
                claims[surface], top_scores[surface] = claim, score
            if is_mention and not self.rules.skips_verification(verdict):
                to_check.setdefault(claim, []).append(index)

        yes_probabilities: list[float | None] = [None] * len(typed_spans)
        verifier_prompts = [prompt for prompt in attempt.prompts if prompt.member.name == self.rules.verifier]
        if not verifier_prompts or not to_check:
            return yes_probabilities
        [prompt] = verifier_prompts
        claim_probabilities, usage = verify([*claims.values()], [*to_check], prompt)
        attempt.costs.append(("verification", prompt.member.name, usage))
        for indices, probability in zip(to_check.values(), claim_probabilities, strict=True):
            for index in indices:
                yes_probabilities[index] = probability
        return yes_probabilities
