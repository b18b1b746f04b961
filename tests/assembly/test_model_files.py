from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from entsemble._lib import digest
from entsemble.assembly import model_files
from entsemble.assembly.model_files import ModelFiles
from entsemble.backends.download import ignore_progress
from entsemble.backends.model_spec import parse_model
from entsemble.errors import ConfigError
from entsemble.settings import Environment, environment


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)
    return environment().model_copy(update={"cache": tmp_path / "cache"})


def locate(name: str | Path, here: Environment) -> tuple[Path, str]:
    return ModelFiles(here, ignore_progress).locate(parse_model(str(name)))


def test_a_models_fingerprint_is_what_its_file_holds(
    tmp_path: Path, here: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF one")
    monkeypatch.setattr(model_files, "pull", lambda *_, **__: file)
    for content in (b"GGUF one", b"GGUF two"):
        file.write_bytes(content)
        checksum = hashlib.sha256(content).hexdigest()
        assert locate(file, here) == (file, checksum)
        assert locate("smollm2-135m", here) == (file, checksum), "whatever the catalogue says"
        monkeypatch.setattr(digest, "sha256", None)
        assert locate(file, here) == (file, checksum), "without reading it again"
        monkeypatch.undo()
        monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)
        monkeypatch.setattr(model_files, "pull", lambda *_, **__: file)


def test_a_folders_fingerprint_changes_with_any_of_its_files(tmp_path: Path, here: Environment) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    with pytest.raises(ConfigError, match="it holds no safetensors"):
        locate(folder, here)
    fingerprints = set()
    for name in ("model.safetensors", "config.json"):
        for content in ("old", "new", "new"):
            (folder / name).write_text(content)
            fingerprints.add(locate(folder, here)[1])
    assert len(fingerprints) == 4


def test_a_model_that_cannot_be_read_is_an_error(tmp_path: Path, here: Environment) -> None:
    with pytest.raises(ConfigError, match=r"no model file at .*missing\.gguf"):
        locate(tmp_path / "missing.gguf", here)
