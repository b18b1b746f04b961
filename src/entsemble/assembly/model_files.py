"""Files of models: downloaded or found on disk, and identified by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from entsemble._lib.digest import sha256
from entsemble.backends import hub
from entsemble.backends.catalogue import ModelCard
from entsemble.backends.download import DownloadCallback, pull
from entsemble.backends.model_spec import ModelSource, ModelSpec, ServerModel
from entsemble.errors import ConfigError
from entsemble.settings import Environment

_MODEL_FILES = {".safetensors", ".json", ".txt", ".model"}
"""Endings of the files that a model of transformers consists of: weights, configuration and tokenizer."""


class ModelFiles:
    """The files of a run's models, each located and read once.

    Args:
        environment: where models are stored.
        on_download: called with the progress of downloads.
    """

    def __init__(self, environment: Environment, on_download: DownloadCallback) -> None:
        self._environment, self._on_download = environment, on_download
        self._located: dict[ModelSource, tuple[Path, str]] = {}

    def locate(self, spec: ModelSpec) -> tuple[Path, str]:
        """The model's file or folder, downloaded if needed, and a fingerprint of its content.

        Raises:
            ConfigError: there is no such file, or the model is behind a server.
            ModelError: it cannot be downloaded.
        """
        if spec.source not in self._located:
            self._located[spec.source] = self._locate(spec.source)
        return self._located[spec.source]

    def _locate(self, source: ModelSource) -> tuple[Path, str]:
        environment = self._environment
        if isinstance(source, ModelCard):
            path = pull(
                source,
                environment.cache,
                on_progress=self._on_download,
                hub_endpoint=environment.hub_endpoint,
                hub_token=environment.hub_token,
            )
            return path, f"{source.name}:{source.quantisation}:{path.stat().st_size}"
        if isinstance(source, ServerModel):
            raise ConfigError(f"openai:{source.model} is behind a server and has no file")
        if isinstance(source, Path):
            if not (source.is_file() or source.is_dir()):
                raise ConfigError(f"no model file at {source}")
            path = source
        else:
            path = hub.download(
                source,
                environment.cache,
                on_progress=self._on_download,
                hub_endpoint=environment.hub_endpoint,
                hub_token=environment.hub_token,
            )
        return path, _model_folder_sha256(path) if path.is_dir() else sha256(path)


def folder_sha256(folder: Path, files: Sequence[Path]) -> str:
    """The SHA-256 of files in a folder, by their content and their paths in it."""
    lines = "\n".join(f"{path.relative_to(folder).as_posix()} {sha256(path)}" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _model_folder_sha256(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.suffix in _MODEL_FILES)
    if not any(path.suffix == ".safetensors" for path in files):
        raise ConfigError(f"no model in {folder}: it holds no safetensors")
    return folder_sha256(folder, files)
