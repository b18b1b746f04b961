"""LoRA adapters on a model in memory: attach one for training, and extract it."""

from __future__ import annotations

from typing import Any

from entsemble._lib.optional import require
from entsemble.errors import ConfigError
from entsemble.experts.merging.low_rank import LowRankFactors
from entsemble.experts.peft_folder import Adapter


def attach_lora(model: Any, *, rank: int, alpha: int, seed: int, start: Adapter | None = None) -> Any:  # noqa: ANN401 - untyped libraries
    """Attach a trainable LoRA adapter to all linear layers.

    Args:
        model: a causal language model of transformers; it is modified.
        rank: of the adapter.
        alpha: its scaling factor is alpha / rank.
        seed: of the initial weights.
        start: initial change, of the same modules and at most the same rank; default: no change.

    Returns:
        The PEFT model.

    Raises:
        ConfigError: `start` does not fit.
        MissingExtraError: torch or PEFT is not installed.
    """
    torch, peft = (require(module, "experts", "training an expert") for module in ("torch", "peft"))
    torch.manual_seed(seed)
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    peft_model = peft.get_peft_model(model, config)
    if start is not None:
        _initialise(peft_model, start)
    return peft_model


def extract_adapter(peft_model: Any, base: str) -> Adapter:  # noqa: ANN401 - untyped library
    """The change that a PEFT model's only adapter makes, on the CPU.

    Args:
        peft_model: of `attach_lora`.
        base: name of the base model.
    """
    from peft import get_peft_model_state_dict

    (config,) = peft_model.peft_config.values()
    scale = config.lora_alpha / config.r
    tensors = get_peft_model_state_dict(peft_model, save_embedding_layers=False)
    factors = {}
    for name, lora_a in tensors.items():
        if ".lora_A." in name:
            lora_b = tensors[name.replace(".lora_A.", ".lora_B.")]
            factors[_module_of(name)] = LowRankFactors(
                lora_a=lora_a.detach().float().cpu().numpy(), lora_b=lora_b.detach().float().cpu().numpy() * scale
            )
    return Adapter(factors, base=base)


def _initialise(peft_model: Any, start: Adapter) -> None:  # noqa: ANN401 - untyped libraries
    """Set a PEFT model's only adapter to a change; surplus ranks keep their initial values, which have no effect."""
    import torch

    (config,) = peft_model.peft_config.values()
    scale = config.lora_alpha / config.r
    modules = {_module_of(name) for name, _ in peft_model.named_parameters() if ".lora_A." in name}
    start_rank = max((factors.rank for factors in start.factors.values()), default=0)
    if modules != start.factors.keys() or start_rank > config.r:
        raise ConfigError(
            f"a training of rank {config.r} on {len(modules)} modules cannot start from an expert of rank {start_rank} "
            f"on {len(start.factors)}; use a rank of at least {start_rank} and an expert that changes all linear layers"
        )
    with torch.no_grad():
        for name, parameter in peft_model.named_parameters():
            if ".lora_A." in name:
                lora_a = start.factors[_module_of(name)].lora_a
                parameter[: len(lora_a)] = torch.from_numpy(lora_a)
            elif ".lora_B." in name:
                lora_b = start.factors[_module_of(name)].lora_b
                parameter[:, : lora_b.shape[1]] = torch.from_numpy(lora_b / scale)


def _module_of(parameter_name: str) -> str:
    """The module of the base model that a PEFT parameter belongs to."""
    return parameter_name.removeprefix("base_model.model.").partition(".lora_")[0]
