"""Sums of PEFT adapters, applied to a transformers model.

A sum is added to the weights if there is memory for changed weights beside the model's own: a layer then costs what it
costs without adapters. In models too large for that, PEFT adds each adapter's output to that of its layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entsemble._lib.optional import require
from entsemble.backends.transformers.batcher import AdapterWeights
from entsemble.errors import DataError

MERGED_BYTES = 2 << 30
"""Default memory for changed weights: nine sums of adapters of SmolLM2 135M in bfloat16."""


class AdaptedModel:
    """A model with weighted sums of its adapters. For one thread at a time.

    Args:
        model: a transformers model.
        adapters: name -> PEFT folder of plain LoRA, as `experts.peft_folder.save` writes it; PEFT scales sums of rsLoRA
            adapters wrongly.
        merged_bytes: memory for changed weights.

    Attributes:
        model: to be called within `apply`.
        active: the sum that is applied; `None` after an error while one was being applied.

    Raises:
        MissingExtraError: PEFT is not installed.
        DataError: an adapter does not fit the model.
    """

    def __init__(self, model: Any, adapters: Mapping[str, Path], merged_bytes: int = MERGED_BYTES) -> None:  # noqa: ANN401
        self.model = _load_adapters(model, adapters).eval()
        self.active: AdapterWeights | None = ()
        self._layers = _lora_layers(self.model) if adapters else []
        self._base_weights = [getattr(layer.get_base_layer(), "weight", None) for layer in self._layers]
        weights_size = size_in_bytes(self._base_weights)
        self._max_merged_sums = merged_bytes // weights_size if weights_size else 0
        self._merged: dict[AdapterWeights, list[Any]] = {}
        if self._max_merged_sums:
            self.model.base_model.disable_adapter_layers()

    @property
    def merges_weights(self) -> bool:
        """Whether sums are added to the weights."""
        return self._max_merged_sums > 0

    @property
    def merged_sum_count(self) -> int:
        """Sums whose changed weights are kept."""
        return len(self._merged)

    @contextmanager
    def apply(self, adapter_weights: AdapterWeights) -> Iterator[None]:
        """Apply a sum of adapters while the block calls the model."""
        if self._max_merged_sums:
            self._swap_weights(adapter_weights)
            yield
        elif adapter_weights:
            self._activate_in_peft(adapter_weights)
            yield
        elif self._layers:
            with self.model.disable_adapter():
                yield
        else:
            yield

    def _swap_weights(self, adapter_weights: AdapterWeights) -> None:
        if adapter_weights == self.active:
            return
        self.active = None  # until it is applied
        if adapter_weights not in self._merged:
            self._set_weights(self._base_weights)  # so that merged weights in use can be dropped
        if adapter_weights:
            self._set_weights(self._merge(adapter_weights))
        self.active = adapter_weights

    def _set_weights(self, weights: Sequence[Any]) -> None:
        import torch

        for layer, weight in zip(self._layers, weights, strict=True):
            # a new parameter, since the layer's own may be tied to the embeddings
            layer.get_base_layer().weight = torch.nn.Parameter(weight, requires_grad=False)

    def _merge(self, adapter_weights: AdapterWeights) -> list[Any]:
        """Each layer's weight with the sum added; those used last are kept."""
        import torch

        merged = self._merged.pop(adapter_weights, None)
        if merged is None:
            while len(self._merged) >= self._max_merged_sums:
                del self._merged[next(iter(self._merged))]
            by_module_name = {_module_name(adapter): weight for adapter, weight in adapter_weights}
            with torch.no_grad():
                merged = [
                    merge_layer(layer, base_weight, by_module_name)
                    for layer, base_weight in zip(self._layers, self._base_weights, strict=True)
                ]
        self._merged[adapter_weights] = merged
        return merged

    def _activate_in_peft(self, adapter_weights: AdapterWeights) -> None:
        (first_adapter, first_weight), *others = adapter_weights
        name = _module_name(first_adapter if first_weight == 1 and not others else repr(adapter_weights))
        if name not in self.model.peft_config:
            # "cat" stacks the ranks: the only kind of PEFT's sums that equals the sum of the changes (its issue 3004)
            adapters = [_module_name(adapter) for adapter, _ in adapter_weights]
            weights = [weight for _, weight in adapter_weights]
            try:
                self.model.add_weighted_adapter(adapters, weights, name, combination_type="cat")
            except BaseException:  # such as out of memory: half a sum would be taken for a whole one next time
                self.model.peft_config.pop(name, None)
                raise
        if adapter_weights != self.active:
            self.active = None  # until it is applied
            self.model.set_adapter(name)
            self.active = adapter_weights


def merge_layer(layer: Any, base_weight: Any, adapter_weights: Mapping[str, float]) -> Any:  # noqa: ANN401
    """A layer's weight with a weighted sum of its adapters added in float32, rounded once."""
    changes = [
        weight * layer.get_delta_weight(name).float() for name, weight in adapter_weights.items() if name in layer.r
    ]
    return sum(changes, start=base_weight.float()).to(base_weight.dtype) if changes else base_weight


def size_in_bytes(weights: Sequence[Any]) -> int:
    """What weights take together; 0 if any of them is packed, so that nothing can be added to it."""
    import torch

    unpacked_types = {torch.float32, torch.float16, torch.bfloat16}
    if any(getattr(weight, "dtype", None) not in unpacked_types for weight in weights):
        return 0
    return sum(weight.numel() * weight.element_size() for weight in weights)


def _load_adapters(model: Any, adapters: Mapping[str, Path]) -> Any:  # noqa: ANN401 - untyped libraries
    if not adapters:
        return model
    peft = require("peft", "experts", "experts of a transformers model")
    (first_name, folder), *others = adapters.items()
    arguments = {"autocast_adapter_dtype": False}  # adapters compute in the model's precision
    try:
        adapted = peft.PeftModel.from_pretrained(model, folder, adapter_name=_module_name(first_name), **arguments)
        for name, folder in others:
            adapted.load_adapter(folder, adapter_name=_module_name(name), **arguments)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"the adapter does not fit its base ({str(error).splitlines()[0]})", folder) from error
    return adapted


def _lora_layers(model: Any) -> list[Any]:  # noqa: ANN401 - untyped libraries
    from peft.tuners.lora import LoraLayer

    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def _module_name(text: str) -> str:
    """A name that PyTorch accepts for a module, which may contain no dot."""
    return "a" + hashlib.sha256(text.encode()).hexdigest()[:16]
