"""A tiny transformers model with random weights, and adapters for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.experts import peft_folder
from entsemble.experts.merging.low_rank import LowRankFactors
from entsemble.experts.merging.merge import MergeSettings, merge_adapters
from entsemble.experts.peft_folder import Adapter


def _random_adapter(seed: int) -> Adapter:
    random = np.random.default_rng(seed)
    return Adapter(
        {
            f"model.layers.{layer}.mlp.down_proj": LowRankFactors(
                random.normal(scale=0.5, size=(2, 48)).astype(np.float32),
                random.normal(scale=0.5, size=(32, 2)).astype(np.float32),
            )
            for layer in (0, 1)
        }
    )


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Callable[..., Any]) -> Path:
    """The folder of a tiny model with random weights; each byte is a token."""
    import tokenizers
    import transformers

    folder = tmp_path_factory.mktemp("tiny")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*alphabet, "<s>", "</s>"])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    fast_tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast_tokenizer.save_pretrained(folder)
    tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """PEFT folders of adapters for the tiny model: two, and `both`, half the first plus a quarter of the second."""
    parent = tmp_path_factory.mktemp("adapters")
    first, second = _random_adapter(1), _random_adapter(2)
    both = merge_adapters([first, second], [0.5, 0.25], MergeSettings()).adapter
    adapters = {"v1.0": first, "two": second, "both": both}
    for name, adapter in adapters.items():
        peft_folder.save_adapter(adapter, parent / name)
    return {name: parent / name for name in adapters}
