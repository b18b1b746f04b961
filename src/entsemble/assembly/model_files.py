"""Files of models: downloaded or found on disk, and identified by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from entsemble.backends import hub
from entsemble.backends.catalogue import ModelCard
from entsemble.backends.checksums import file_checksum
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
        again: download models again that have changed since their download.
    """

    def __init__(self, environment: Environment, on_download: DownloadCallback, *, again: bool = False) -> None:
        self._environment, self._on_download, self._again = environment, on_download, again
        self._located: dict[ModelSource, tuple[Path, str]] = {}

    def locate(self, spec: ModelSpec) -> tuple[Path, str]:
        """The model's file or folder, downloaded if needed, and a fingerprint of its content.

        Files are read for this only after a change, see `file_checksum`.

        Raises:
            ConfigError: there is no such file, or it cannot be read, or the model is behind a server.
            ModelError: it cannot be downloaded, or has changed since.
        """
        if spec.source not in self._located:
            self._located[spec.source] = self._locate(spec.source)
        return self._located[spec.source]

    def _locate(self, source: ModelSource) -> tuple[Path, str]:
        path = self._path(source)
        try:
            if path.is_dir():
                return path, _model_folder_sha256(path, self._environment.cache)
            return path, file_checksum(path, self._environment.cache)
        except OSError as error:
            raise ConfigError(f"cannot read the model {path}: {error.strerror or error}") from error

    def _path(self, source: ModelSource) -> Path:
        environment = self._environment
        if isinstance(source, ServerModel):
            raise ConfigError(f"openai:{source.model} is behind a server and has no file")
        if isinstance(source, Path):
            if not (source.is_file() or source.is_dir()):
                raise ConfigError(f"no model file at {source}")
            return source
        if isinstance(source, ModelCard):
            return pull(
                source,
                environment.cache,
                on_progress=self._on_download,
                again=self._again,
                hub_endpoint=environment.hub_endpoint,
                hub_token=environment.hub_token,
            )
        return hub.download(
            source,
            environment.cache,
            on_progress=self._on_download,
            again=self._again,
            hub_endpoint=environment.hub_endpoint,
            hub_token=environment.hub_token,
        )


def folder_sha256(folder: Path, files: Sequence[Path], cache: Path) -> str:
    """The SHA-256 of files in a folder, by their content and their paths in it; see `file_checksum`."""
    lines = "\n".join(f"{path.relative_to(folder).as_posix()} {file_checksum(path, cache)}" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _model_folder_sha256(folder: Path, cache: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.suffix in _MODEL_FILES)
    if not any(path.suffix == ".safetensors" for path in files):
        raise ConfigError(f"no model in {folder}: it holds no safetensors")
    return folder_sha256(folder, files, cache)
