"""What the results of an ensemble depend on, as hashes by name: a journal is valid as long as none changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple

from entsemble import __version__
from entsemble.ner.pipeline import Pipeline
from entsemble.pool.naive_bayes import NaiveBayesProposer
from entsemble.settings import Settings
from entsemble.types import Document
from entsemble.voices.span_voice import SpanVoice

STACKING_WEIGHTS = "stacking weights"

_INDEPENDENT = frozenset({"workers", "threads", "cache", "ray", "stacking"})
"""Settings that results do not depend on, or only by way of something else that is hashed."""


def result_fingerprints(
    settings: Settings, pipeline: Pipeline, pool: Sequence[Document], encoder: str | None
) -> dict[str, str]:
    """Name, as in the settings -> hash, apart from the weights that are trained.

    Args:
        settings: of the ensemble.
        pipeline: not yet with a trained scorer.
        pool: its sentences; none if there is no pool.
        encoder: the encoder's fingerprint, if there are a pool and members.
    """
    values = settings.model_dump(mode="json", exclude={"members", "voices", "patterns", "pool", *_INDEPENDENT})
    values["pool"] = settings.pool.model_dump(mode="json", exclude={"path", "format"})
    labels = pipeline.labels
    values["labels"] = [[label.name, label.readable, label.definition] for label in labels] + [labels.nested]
    values["members"] = [member.name for member in pipeline.members]
    values["naive Bayes"] = any(isinstance(proposer, NaiveBayesProposer) for proposer in pipeline.proposers)
    values["entsemble"] = __version__
    values["voices"] = [proposer.fingerprint for proposer in pipeline.proposers if isinstance(proposer, SpanVoice)]
    values["labels of voices"] = [voice.labels for voice in settings.all_voices]
    if pool:
        values["pool sentences"] = [
            (document.text, [(mention.start, mention.end, mention.label) for mention in document.mentions])
            for document in pool
        ]
        values["encoder"] = encoder
    if pipeline.pool is not None:
        values["POS tagger"] = pipeline.pool.pos_tagger.name if pipeline.pool.similarity == "span" else ""
    for member in pipeline.members:
        template, zero_shot = astuple(member.template), astuple(member.zero_shot)
        prompts = [template, zero_shot, member.weight, sorted(member.bias.items()), member.shots]
        values[f"member {member.name}"] = [member.model.fingerprint, *prompts]
    return {name: _sha256(json.dumps(value)) for name, value in values.items()}


def weights_fingerprint(weights: str) -> str:
    """The hash of trained weights, as JSON."""
    return _sha256(weights)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
