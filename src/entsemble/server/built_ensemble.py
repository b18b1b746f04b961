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
        version: of the pool that sentences are looked up in.
        ensemble: the ensemble.
        stays: whether it is used with another pool, too, until what that teaches is learned.
    """

    key: str
    version: int
    ensemble: Ensemble
    stays: bool

    def answer_from(self, version: int, sentences: Sequence[Document], language: str) -> None:
        """Answer sentences that stand in another pool than that of the ensemble from it.

        Args:
            version: of the pool.
            sentences: of the pool.
            language: of the texts.
        """
        self.ensemble.pipeline.answers = PoolAnswers(LeakageGuard(sentences, sentence_splitter(language)))
        self.version = version


def settings_key(settings: Settings) -> str:
    """What makes an ensemble another one, apart from the pool."""
    return settings.model_dump_json(exclude={"pool": {"path"}})


def learned_weights(ensemble: Ensemble) -> StackingModel | None:
    """The weights that were learned from the pool, once the ensemble is prepared; `None` for the pre-trained ones."""
    scorer = ensemble.pipeline.scorer
    return scorer.model if scorer and scorer.model.training_sentences else None
