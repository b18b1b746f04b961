"""How models of transformers are loaded, tiny random ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.backends.transformers import loader as transformers_base
from entsemble.backends.transformers.loader import Tokenizer
from entsemble.backends.transformers import TransformersModel
from entsemble.errors import ConfigError, ModelUnavailableError
from entsemble.settings import MemberSettings, Settings, environment
from entsemble.types import AdapterSum, Decoding

pytest.importorskip("peft", reason="needs the extra 'experts'")

PROMPT = "Text: Ann left Oslo.\nEntities:"
OPTIONS = [" a;", " b c;", " b d;"]
PROMPTS = [f"Text: {'Ann left ' * (i % 5)}Oslo {i}.\nEntities:" for i in range(12)]


@pytest.fixture
def gguf(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Path]]:
    """A file that stands for a GGUF of the folder's model, and what was loaded so far."""
    own, loaded = transformers_base._load, []

    def load(path: Path, dtype: Any) -> Any:
        loaded.append(path)
        return own(path if path.is_dir() else tiny_folder, dtype)

    monkeypatch.setattr(transformers_base, "_load", load)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    return file, loaded


def scored(model: TransformersModel) -> tuple[float, ...]:
    return model.choose([PROMPT], OPTIONS)[0].log_probabilities


def test_a_gguf_file_is_unpacked_once(gguf: tuple[Path, list[Path]], tiny_folder: Path, tmp_path: Path) -> None:
    file, loaded = gguf
    kept = tmp_path / "unpacked" / "0123"
    made = [TransformersModel("x", file, fingerprint="f", context=256, unpacked_folder=kept) for _ in range(2)]
    assert loaded == [file, kept, kept]
    assert [p.name for p in kept.parent.iterdir()] == ["0123"]
    plain = TransformersModel("x", tiny_folder, fingerprint="f", context=256)
    assert [scored(m) for m in made] == [pytest.approx(scored(plain), abs=1e-6)] * 2


def test_a_large_gguf_file_is_not_kept_unpacked(
    gguf: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, loaded = gguf
    monkeypatch.setattr(transformers_base, "_UNPACKED", 3)
    TransformersModel("x", file, fingerprint="f", context=256, unpacked_folder=tmp_path / "unpacked")
    assert loaded == [file]
    assert not (tmp_path / "unpacked").exists()


def test_where_nothing_can_be_unpacked(gguf: tuple[Path, list[Path]], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelUnavailableError, match=r"model\.gguf.*cache.*ENTSEMBLE_CACHE"):
        TransformersModel("x", gguf[0], fingerprint="f", context=256, unpacked_folder=tmp_path / "cache" / "0123")


def test_a_beginning_is_put_before_a_prompt_and_before_no_option() -> None:
    class Beginning:
        bos_token_id = 1

        def __call__(self, text: str, *, add_special_tokens: bool = True, **_: Any) -> dict[str, Any]:
            ids = [*([1] if add_special_tokens else []), *map(ord, text)]
            return {"input_ids": ids, "offset_mapping": [(i, i + 1) for i in range(len(ids))]}

    tokenizer = Tokenizer(Beginning(), [])
    assert tokenizer("=a") == ([1, ord("="), ord("a")], [0, 0, 1])
    assert tokenizer.bare("=a") == [ord("="), ord("a")]


@pytest.mark.parametrize("tied", [False, True])
def test_in_bfloat16_it_says_nearly_the_same(
    tmp_path: Path, tiny_folder: Path, tiny_adapters: dict[str, Path], tiny_llama: Callable[..., Any], tied: bool
) -> None:
    import torch

    shutil.copytree(tiny_folder, tmp_path / "m")
    tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257, tie_word_embeddings=tied).save_pretrained(
        tmp_path / "m"
    )
    full, half = (
        TransformersModel(
            "x", tmp_path / "m", fingerprint="f", context=256, slots=40, adapters=tiny_adapters, precision=p
        )
        for p in ("float32", "bfloat16")
    )
    parts = {p.dtype for n, p in half._reader.adapted.model.named_parameters() if "lm_head" not in n}
    assert parts == {torch.bfloat16}  # the embeddings and the adapters too
    assert half.fingerprint != full.fingerprint
    views = [m.with_adapters("sum", AdapterSum({"v1.0": 0.5, "two": 0.25}, "x")) for m in (full, half)]
    exact, found = (np.array([c.log_probabilities for c in v.choose(PROMPTS, OPTIONS)]) for v in views)
    assert 0 < np.abs(found - exact).max() < 0.05
    assert np.unique(found).size > 0.9 * np.unique(exact).size  # not rounded to the few numbers that bfloat16 has
    assert [r.usage.generated_tokens for r in views[1].generate(PROMPTS, Decoding(3))] == [3] * len(PROMPTS)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"model": "openai:x", "base_url": "http://localhost/v1", "precision": "bfloat16"}, "engine of its own"),
        ({"model": "openai:x", "base_url": "http://localhost/v1", "engine": "transformers"}, "engine of its own"),
        ({"model": "model.gguf", "precision": "bfloat16"}, "leave `precision` out"),
        ({"model": "model.gguf", "engine": "llama.cpp", "precision": "float32"}, "leave `precision` out"),
    ],
)
def test_an_engine_that_takes_no_precision(
    told: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.gguf").touch()
    with pytest.raises(ConfigError, match=said):
        ModelPool(Settings(), environment(), ProgressCallbacks()).language_model(MemberSettings(**told))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model in .*no safetensors"):
        ModelPool(Settings(), environment(), ProgressCallbacks()).base_checksum(MemberSettings(model=str(tmp_path)))
    with pytest.raises(ModelUnavailableError, match="cannot load"):
        TransformersModel("x", tmp_path, fingerprint="")
