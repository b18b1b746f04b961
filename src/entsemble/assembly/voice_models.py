"""Models of voices, loaded by their kind."""

from __future__ import annotations

from pathlib import Path

from entsemble.assembly.model_files import folder_sha256
from entsemble.backends.label_reader.model import LabelReader
from entsemble.backends.patterns import PatternTagger
from entsemble.backends.spacy_tagger import SpacyTagger, locate_pipeline
from entsemble.backends.voice_spec import VoiceSpec
from entsemble.protocols import SpanScorer, SpanTagger
from entsemble.settings import Environment


def load_voice(spec: VoiceSpec, environment: Environment, *, threads: int) -> SpanScorer | SpanTagger:
    """The model of a voice: one that reads the requested labels, or one with labels of its own.

    Args:
        spec: which model.
        environment: where the checksums of files are remembered.
        threads: CPU threads of engines that take a number.

    Raises:
        ConfigError: it cannot be a voice.
        DataError: a file of patterns is not valid.
        MissingExtraError: the library that runs it is not installed.
        ModelUnavailableError: there is no such model, or it cannot be loaded.
    """
    if spec.kind == "spacy":
        folder = locate_pipeline(spec.target)
        return SpacyTagger(spec.name, folder, _checksum(folder, environment))
    if spec.kind == "patterns":
        return PatternTagger(spec.name, spec.path)
    return LabelReader(spec.name, spec.path, threads=threads)


def _checksum(folder: Path, environment: Environment) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return folder_sha256(folder, files, environment.cache)
