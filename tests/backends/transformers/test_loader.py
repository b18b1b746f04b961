"""How transformers models are loaded, tiny random ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.backends.transformers import TransformersModel, loader
from entsemble.backends.transformers.loader import Tokenizer
from entsemble.errors import ConfigError, ModelUnavailableError
from entsemble.settings import MemberSettings, Settings, environment
from entsemble.types import Decoding
from tests.backends.transformers.tiny import OPTIONS, PROMPTS, load_tiny, score_options, with_sum

pytest.importorskip("peft", reason="needs the extra 'experts'")


@pytest.fixture
def gguf(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Path]]:
    """A file that stands for a GGUF of the tiny model, and the paths that were loaded so far."""
    original_load, loaded_paths = loader._load, []

    def load(path: Path, dtype: Any) -> Any:
        loaded_paths.append(path)
        return original_load(path if path.is_dir() else tiny_folder, dtype)

    monkeypatch.setattr(loader, "_load", load)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    return file, loaded_paths


def test_a_gguf_file_is_unpacked_once(gguf: tuple[Path, list[Path]], tiny_folder: Path, tmp_path: Path) -> None:
    file, loaded_paths = gguf
    unpacked = tmp_path / "unpacked" / "0123"
    models = [load_tiny(file, unpacked_folder=unpacked) for _ in range(2)]
    assert loaded_paths == [file, unpacked, unpacked]
    assert [path.name for path in unpacked.parent.iterdir()] == ["0123"]
    expected = pytest.approx(score_options(load_tiny(tiny_folder)), abs=1e-6)
    assert [score_options(model) for model in models] == [expected] * 2


def test_a_large_gguf_file_is_not_kept_unpacked(
    gguf: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, loaded_paths = gguf
    monkeypatch.setattr(loader, "_MAX_UNPACKED_FILE", 3)
    load_tiny(file, unpacked_folder=tmp_path / "unpacked")
    assert loaded_paths == [file]
    assert not (tmp_path / "unpacked").exists()


def test_a_folder_that_cannot_be_unpacked_into_is_an_error_with_advice(
    gguf: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelUnavailableError, match=r"model\.gguf.*cache.*ENTSEMBLE_CACHE"):
        load_tiny(gguf[0], unpacked_folder=tmp_path / "cache" / "0123")


def test_the_begin_token_precedes_prompts_but_not_options() -> None:
    class CharacterTokenizer:
        bos_token_id = 1

        def __call__(self, text: str, *, add_special_tokens: bool = True, **_: Any) -> dict[str, Any]:
            token_ids = [*([1] if add_special_tokens else []), *map(ord, text)]
            return {"input_ids": token_ids, "offset_mapping": [(i, i + 1) for i in range(len(token_ids))]}

    tokenizer = Tokenizer(CharacterTokenizer(), [])
    assert tokenizer("=a") == ([1, ord("="), ord("a")], [0, 0, 1])
    assert tokenizer.encode("=a") == [ord("="), ord("a")]


@pytest.mark.parametrize("tied", [False, True])
def test_bfloat16_gives_nearly_the_same_answers(
    tmp_path: Path, tiny_folder: Path, tiny_adapters: dict[str, Path], tiny_llama: Callable[..., Any], tied: bool
) -> None:
    import torch

    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    llama = tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257, tie_word_embeddings=tied)
    llama.save_pretrained(folder)
    float32, bfloat16 = (
        load_tiny(folder, slots=40, adapters=tiny_adapters, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    parameters = bfloat16._runner.adapted.model.named_parameters()
    assert {p.dtype for name, p in parameters if "lm_head" not in name} == {torch.bfloat16}, "adapters included"
    assert bfloat16.fingerprint != float32.fingerprint
    views = [with_sum(model, "sum", v1_0=0.5, two=0.25) for model in (float32, bfloat16)]
    exact, rounded = (
        np.array([choice.log_probabilities for choice in view.choose(PROMPTS, OPTIONS)]) for view in views
    )
    assert 0 < np.abs(rounded - exact).max() < 0.05
    assert np.unique(rounded).size > 0.9 * np.unique(exact).size, "logits are not rounded to bfloat16's few values"
    replies = views[1].generate(PROMPTS, Decoding(3))
    assert [reply.usage.generated_tokens for reply in replies] == [3] * len(PROMPTS)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"model": "openai:x", "base_url": "http://localhost/v1", "precision": "bfloat16"}, "its own engine"),
        ({"model": "openai:x", "base_url": "http://localhost/v1", "engine": "transformers"}, "its own engine"),
        ({"model": "model.gguf", "precision": "bfloat16"}, "leave `precision` out"),
        ({"model": "model.gguf", "engine": "llama.cpp", "precision": "float32"}, "leave `precision` out"),
    ],
)
def test_engines_that_have_no_precision_reject_one(
    member: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.gguf").touch()
    with pytest.raises(ConfigError, match=message):
        ModelPool(Settings(), environment(), ProgressCallbacks()).language_model(MemberSettings(**member))


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model in .*no safetensors"):
        ModelPool(Settings(), environment(), ProgressCallbacks()).base_checksum(MemberSettings(model=str(tmp_path)))
    with pytest.raises(ModelUnavailableError, match="cannot load"):
        TransformersModel("x", tmp_path, fingerprint="")
