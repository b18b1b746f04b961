"""Sums of PEFT adapters, applied to a model of transformers.

A sum is added to the weights, where there is memory for changed weights beside the model's own: a layer then costs what
it costs without adapters. PEFT's way, which adds to what each layer says, is for models that are too large for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entsemble.backends.transformers.batcher import Sum
from entsemble.errors import DataError, MissingExtraError

_MERGED = 2 << 30
"""Bytes of changed weights that are kept: nine sums of adapters of SmolLM2 135M in bfloat16."""


class AdaptedModel:
    """A model, and what sums of its adapters make of it. One thread at a time.

    Args:
        model: of transformers.
        adapters: name -> PEFT folder of plain LoRA, as `experts.adapter.save` writes it, since PEFT's sums get the
            scale of rsLoRA wrong.

    Attributes:
        model: to be called inside of `under`.
        active: the sum that is applied; `None` where one was being applied when it failed.

    Raises:
        MissingExtraError: PEFT is not installed.
        DataError: an adapter does not fit the model.
    """

    def __init__(self, model: Any, adapters: Mapping[str, Path]) -> None:  # noqa: ANN401 - untyped library
        self.model = _with_adapters(model, adapters).eval()
        self.active: Sum | None = ()
        self._layers = _changed_layers(self.model) if adapters else []
        self._own = [getattr(layer.get_base_layer(), "weight", None) for layer in self._layers]
        self._room = _MERGED // size if (size := _bytes(self._own)) else 0
        self._made: dict[Sum, list[Any]] = {}
        if self._room:
            self.model.base_model.disable_adapter_layers()

    @property
    def merges(self) -> bool:
        """Whether sums are added to the weights."""
        return self._room > 0

    @contextmanager
    def under(self, wanted: Sum) -> Iterator[None]:
        """While the model is called: with a sum of adapters applied."""
        if self._room:
            self._swap(wanted)
            yield
        elif wanted:
            self._switch(wanted)
            yield
        elif self._layers:
            with self.model.disable_adapter():
                yield
        else:
            yield

    def _swap(self, wanted: Sum) -> None:
        """Have the layers compute with the changed weights."""
        if wanted == self.active:
            return
        self.active = None  # until it is
        if wanted not in self._made:
            self._put(self._own)  # so that those that make room are in no use
        if wanted:
            self._put(self._changed(wanted))
        self.active = wanted

    def _put(self, weights: Sequence[Any]) -> None:
        import torch

        for layer, weight in zip(self._layers, weights, strict=True):
            layer.get_base_layer().weight = torch.nn.Parameter(weight, requires_grad=False)  # not an embedding's, tied

    def _changed(self, wanted: Sum) -> list[Any]:
        """Each layer's weight with the sum added; the last that were used are kept."""
        import torch

        if (made := self._made.pop(wanted, None)) is None:
            while len(self._made) >= self._room:
                del self._made[next(iter(self._made))]
            named = {_module_name(adapter): weight for adapter, weight in wanted}
            with torch.no_grad():
                made = [_added(named, layer, own) for layer, own in zip(self._layers, self._own, strict=True)]
        self._made[wanted] = made
        return made

    def _switch(self, wanted: Sum) -> None:
        """Have PEFT apply a sum."""
        (first, weight), *others = wanted
        name = _module_name(first if weight == 1 and not others else repr(wanted))
        if name not in self.model.peft_config:
            # stacked ranks: the only kind of PEFT's sums that is the sum of the changes (its issue 3004)
            parts = [_module_name(adapter) for adapter, _ in wanted]
            try:
                self.model.add_weighted_adapter(parts, [w for _, w in wanted], name, combination_type="cat")
            except BaseException:  # such as out of memory: half a sum would pass for a whole one next time
                self.model.peft_config.pop(name, None)
                raise
        if wanted != self.active:
            self.active = None  # until it is
            self.model.set_adapter(name)
            self.active = wanted


def _with_adapters(model: Any, adapters: Mapping[str, Path]) -> Any:  # noqa: ANN401 - untyped libraries
    if not adapters:
        return model
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingExtraError("peft", "experts", "experts of a model of transformers") from error
    (first, folder), *others = adapters.items()
    try:
        told = {"autocast_adapter_dtype": False}  # they are computed in the model's precision
        made = PeftModel.from_pretrained(model, folder, adapter_name=_module_name(first), **told)
        for name, folder in others:
            made.load_adapter(folder, adapter_name=_module_name(name), **told)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"it does not fit its base ({str(error).splitlines()[0]})", folder) from error
    return made


def _changed_layers(model: Any) -> list[Any]:  # noqa: ANN401 - untyped libraries
    from peft.tuners.lora import LoraLayer

    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def _added(named: Mapping[str, float], layer: Any, own: Any) -> Any:  # noqa: ANN401 - untyped libraries
    """A layer's weight with a sum of its adapters added, rounded once."""
    changes = [weight * layer.get_delta_weight(name).float() for name, weight in named.items() if name in layer.r]
    return sum(changes, start=own.float()).to(own.dtype) if changes else own


def _bytes(weights: Sequence[Any]) -> int:
    """That they take together; 0 where one is packed, so that nothing can be added to it."""
    import torch

    plain = {torch.float32, torch.float16, torch.bfloat16}
    if any(getattr(weight, "dtype", None) not in plain for weight in weights):
        return 0
    return sum(weight.numel() * weight.element_size() for weight in weights)


def _module_name(text: str) -> str:
    """A name that PyTorch takes for a module, which may hold no dot."""
    return "a" + hashlib.sha256(text.encode()).hexdigest()[:16]
