"""An ensemble that is prepared for texts, and what it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entsemble.data.windows import sentence_splitter
from entsemble.ensemble import Ensemble
from entsemble.pool.answers import PoolAnswers
from entsemble.pool.leakage import LeakageGuard
from entsemble.scoring.model import StackingModel
from entsemble.settings import Settings
from entsemble.types import Document


@dataclass(slots=True)
class BuiltEnsemble:
    """An ensemble that is prepared for texts.

    Attributes:
        key: of its settings; see `settings_key`.
        version: of the pool that it was built with.
        ensemble: the ensemble.
        is_learned: whether it learned all that it can from this pool.
        answers_version: of the pool that sentences are looked up in.
    """

    key: str
    version: int
    ensemble: Ensemble
    is_learned: bool
    answers_version: int

    def answer_from(self, version: int, sentences: Sequence[Document], language: str) -> None:
        """Answer sentences that stand in another pool than that of the ensemble from it.

        Args:
            version: of the pool.
            sentences: of the pool.
            language: of the texts.
        """
        if self.answers_version != version:
            self.ensemble.pipeline.answers = PoolAnswers(LeakageGuard(sentences, sentence_splitter(language)))
            self.answers_version = version


def settings_key(settings: Settings) -> str:
    """What makes an ensemble another one, apart from the pool."""
    return settings.model_dump_json(exclude={"pool": {"path"}})


def weights_key(settings: Settings) -> str:
    """What makes weights that were learned before useless, apart from the pool."""
    labels = sorted(settings.labels.items())
    return settings.model_dump_json(include={"members", "voices", "patterns", "nested"}) + str(labels)


def learned_weights(ensemble: Ensemble) -> StackingModel | None:
    """The weights that were learned from the pool, once the ensemble is prepared; `None` for the pre-trained ones."""
    scorer = ensemble.pipeline.scorer
    return scorer.model if scorer and scorer.model.training_sentences else None
