"""Models of voices, loaded by their kind."""

from __future__ import annotations

import re
from pathlib import Path

from entsemble.assembly.model_files import ModelFiles, folder_sha256
from entsemble.backends.hub import parse_hub_source
from entsemble.backends.model_spec import ModelSpec
from entsemble.backends.voice_spec import VoiceSpec
from entsemble.errors import ConfigError
from entsemble.protocols import SpanScorer, SpanTagger
from entsemble.settings import Environment

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[^@:]+)?")


def load_voice(
    spec: VoiceSpec, environment: Environment, files: ModelFiles, *, threads: int
) -> SpanScorer | SpanTagger:
    """The model of a voice: one that reads the requested labels, or one with labels of its own.

    Args:
        spec: which model.
        environment: where the checksums of files are remembered.
        files: finds or downloads models of transformers.
        threads: CPU threads of engines that take a number.

    Raises:
        ConfigError: it cannot be a voice.
        DataError: a file of patterns is not valid.
        MissingExtraError: the library that runs it is not installed.
        ModelUnavailableError: there is no such model, or it cannot be loaded.
    """
    # each is imported where it is used: a run has one or two of them
    if spec.kind == "spacy":
        from entsemble.backends.spacy_tagger import SpacyTagger, locate_pipeline

        folder = locate_pipeline(spec.target)
        return SpacyTagger(spec.name, folder, _checksum(folder, environment))
    if spec.kind == "patterns":
        from entsemble.backends.patterns import PatternTagger

        return PatternTagger(spec.name, spec.path)
    if spec.kind == "student":
        from entsemble.backends.student import load_student

        return load_student(spec.name, spec.path, threads=threads)
    if spec.kind == "tokens":
        from entsemble.backends.token_classifier import TokenClassifier

        return TokenClassifier(spec.name, *files.locate(_folder_spec(spec)))
    if spec.kind == "gliner":
        from entsemble.backends.gliner_scorer import GlinerScorer

        folder = spec.path if spec.path.is_dir() else files.locate(_folder_spec(spec))[0]
        return GlinerScorer(spec.name, folder, _checksum(folder, environment))
    from entsemble.backends.label_reader.model import LabelReader

    return LabelReader(spec.name, spec.path, threads=threads)


def _folder_spec(spec: VoiceSpec) -> ModelSpec:
    """A folder, or a repository on the hub, which is what has the form OWNER/REPO and is no folder here.

    Raises:
        ConfigError: it is neither.
    """
    if spec.path.is_dir():
        return ModelSpec(spec.name, spec.path)
    if not _REPOSITORY.fullmatch(spec.target):
        raise ConfigError(f"there is no folder {spec.target}; name one, or OWNER/REPO on the hub")
    return ModelSpec(spec.name, parse_hub_source(f"hf:{spec.target}"))


def _checksum(folder: Path, environment: Environment) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return folder_sha256(folder, files, environment.cache)
