"""Trials of experts on a sample: what each answers, and the label biases of sums of them; remembered on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from entsemble import __version__
from entsemble.assembly.expert_files import WeightedSum
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.zero_shot import calibration_biases, predict_mentions, zero_shot_extractor
from entsemble.experts.selection import MentionSet
from entsemble.experts.store import Expert
from entsemble.retrieval.embedding_cache import PoolCache
from entsemble.settings import MemberSettings
from entsemble.types import Document, LabelSet

_REMEMBERED = ""
"""The text of a trial's entry: the entry's owner identifies everything."""


class ExpertTrials:
    """Tries experts on sentences. What was tried before with the same models, labels and texts needs no model.

    Args:
        models: of the run.
        member: whose model it is.
        experts: to be tried.
        labels: those asked for.
        sample: sentences; their mentions are ignored.
    """

    def __init__(
        self,
        models: ModelPool,
        member: MemberSettings,
        experts: Sequence[Expert],
        labels: LabelSet,
        sample: Sequence[Document],
    ) -> None:
        self._models, self._member, self._experts = models, member, experts
        self._labels, self._sample = labels, sample
        self._cache = PoolCache(models.environment.cache / "pools.sqlite")

    def answers(self) -> dict[str, list[MentionSet]]:
        """Expert -> its answer to each sentence of the sample.

        Raises:
            ModelError: a model cannot be loaded, or does not answer.
        """
        remembered = self._remembered("answers")
        if remembered is not None:
            return {
                name: [frozenset((start, end, label) for start, end, label in answer) for answer in answers]
                for name, answers in remembered.items()
            }
        answers = self._ask()
        self._remember({name: [sorted(a) for a in of_expert] for name, of_expert in answers.items()}, "answers")
        return answers

    def biases(self, sums: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
        """For each sum of experts, its label biases on the sample; see `zero_shot.calibration_biases`.

        Args:
            sums: name of a sum -> expert -> weight.

        Raises:
            ModelError: a model cannot be loaded, or does not answer.
        """
        terms = {name: sorted(weights.items()) for name, weights in sums.items()}
        what = [self._models.settings.experts.method, terms]
        remembered = self._remembered(what)
        if remembered is not None:
            return {name: dict(bias) for name, bias in remembered.items()}
        biases = calibration_biases(self._models, self._member, self._experts, self._labels, self._sample, sums)
        self._remember(biases, what)
        return biases

    def _ask(self) -> dict[str, list[MentionSet]]:
        models, member = self._models, self._member
        adapted = models.weighted_sums(member, self._experts, each_alone(self._experts))
        answers: dict[str, list[MentionSet]] = {}
        for position, (name, model) in enumerate(adapted.items()):
            models.progress.on_step("trying the experts", position, len(self._experts))
            language, workers = models.settings.language, models.batch_size(member)
            extractor = zero_shot_extractor(model, self._labels, member.template, language, workers=workers)
            answers[name] = [mention_set(document) for document in predict_mentions(extractor, self._sample)]
        models.progress.on_step("trying the experts", len(self._experts), len(self._experts))
        return answers

    def _remembered(self, what: object) -> dict[str, Any] | None:
        if not self._models.settings.cache.replies:
            return None
        value = self._cache.get(self._owner(what), [_REMEMBERED]).get(_REMEMBERED)
        return None if value is None else dict(json.loads(value))

    def _remember(self, value: object, what: object) -> None:
        self._cache.put(self._owner(what), {_REMEMBERED: json.dumps(value).encode()})

    def _owner(self, what: object) -> str:
        """Identifies what a trial depends on."""
        member = self._member.model_dump(mode="json", exclude={"name", "experts", "bias", "weight", "shots"})
        labels = [[label.name, label.readable, label.definition] for label in self._labels]
        experts = [WeightedSum.from_weights([e], {e.card.name: 1.0}).fingerprint for e in self._experts]
        texts = [document.text for document in self._sample]
        settings = [self._models.base_checksum(self._member), member, self._models.settings.language]
        values = [__version__, what, settings, labels, self._labels.nested, experts, texts]
        return f"trial:{hashlib.sha256(json.dumps(values).encode()).hexdigest()}"


def each_alone(experts: Sequence[Expert]) -> dict[str, dict[str, float]]:
    """For each expert, by its name, the sum that holds it alone with weight 1."""
    return {expert.card.name: {expert.card.name: 1.0} for expert in experts}


def mention_set(document: Document) -> MentionSet:
    """The mentions of a document, as they are compared."""
    return frozenset((mention.start, mention.end, mention.label) for mention in document.mentions)
