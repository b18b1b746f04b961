"""A sequence tagger (a linear-chain CRF) that is trained on a pool in seconds."""

from entsemble.backends.tagger.model import SequenceTagger
from entsemble.backends.tagger.train import train_tagger

__all__ = ["SequenceTagger", "train_tagger"]
