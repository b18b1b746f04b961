"""The internals of transformers that the engine relies on; see the package's docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

transformers = pytest.importorskip("transformers", reason="needs the extra 'experts'")


def test_a_cache_is_updated_with_keys_values_and_the_layer() -> None:
    parameters = list(inspect.signature(transformers.DynamicCache.update).parameters)
    assert parameters[:4] == ["self", "key_states", "value_states", "layer_idx"]


def test_a_model_with_masks_and_positions_calls_only_update_of_a_cache(tiny_llama: Callable[..., Any]) -> None:
    import torch

    model = tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257)
    calls: list[tuple[int, ...]] = []

    class Recorder(transformers.DynamicCache):  # type: ignore[misc, name-defined, unused-ignore] # untyped
        def update(self, *arguments: Any) -> Any:
            keys, values, layer = arguments
            calls.append((*keys.shape, layer))
            return keys, values

        def get_seq_length(self, *_: Any) -> int:
            raise AssertionError("the model asked the cache for its length")

    output = model(
        input_ids=torch.ones((1, 3), dtype=torch.long),
        attention_mask=torch.zeros((1, 1, 3, 3)),
        position_ids=torch.arange(3)[None],
        past_key_values=Recorder(config=model.config),
        use_cache=True,
        logits_to_keep=1,
    )
    config = model.config
    shape = (1, config.num_key_value_heads, 3, config.hidden_size // config.num_attention_heads)
    assert calls == [(*shape, layer) for layer in range(config.num_hidden_layers)]
    assert output.logits.shape == (1, 1, 258)


def test_layer_kinds_and_their_sliding_windows_are_listed() -> None:
    from transformers.cache_utils import get_layer_types_and_kwargs

    kinds = ["sliding_attention", "full_attention"]
    config = transformers.Gemma3TextConfig(num_hidden_layers=2, layer_types=kinds, sliding_window=16)
    listed_kinds, arguments = get_layer_types_and_kwargs(config)
    assert list(listed_kinds) == kinds
    assert [layer.get("sliding_window") for layer in arguments] == [16, None]
