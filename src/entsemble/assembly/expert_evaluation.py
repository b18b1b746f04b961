"""Each expert scored alone, and its base model without experts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from entsemble.assembly.expert_selection import SelectionInputs, candidate_experts, member_to_adapt
from entsemble.assembly.expert_trials import each_alone
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.zero_shot import score_extractor, zero_shot_extractor
from entsemble.data.windows import split_document
from entsemble.errors import DataError
from entsemble.experts.card import Score
from entsemble.types import Document, LabelSet


def evaluate_experts(
    inputs: SelectionInputs, gold: Sequence[Document], labels: LabelSet
) -> Iterator[tuple[str, Score]]:
    """Score each expert alone on annotated documents, and first, as `""`, the base model without experts.

    Raises:
        ConfigError: there are no experts of the member's model.
        DataError: an expert cannot be read.
    """
    settings, progress = inputs.settings, inputs.progress
    member = member_to_adapt(settings)
    windows = (window for document in gold for window in split_document(document, language=settings.language))
    sentences = [window for window in windows if window.text.strip()]
    with closing(ModelPool(settings, inputs.environment, progress)) as models:
        experts, unusable = candidate_experts(models, member)
        if unusable:
            expert_name, reason = next(iter(unusable.items()))
            raise DataError(f"the expert {expert_name}: {reason}")
        expert_sums: dict[str, dict[str, float]] = {"": {}, **each_alone(experts)}
        for position, (expert_name, model) in enumerate(models.weighted_sums(member, experts, expert_sums).items()):
            progress.on_step("scoring the experts", position, len(expert_sums))
            extractor = zero_shot_extractor(
                model, labels, member.template, settings.language, workers=models.batch_size(member)
            )
            yield expert_name, score_extractor(extractor, sentences, "given")
