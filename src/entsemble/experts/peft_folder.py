"""PEFT adapter folders, read and written without running anything that lies in them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble.errors import DataError, MissingExtraError
from entsemble.experts.merging.low_rank import LowRankFactors

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"

_RUNS = {".bin", ".pickle", ".pkl", ".pt", ".pth", ".py", ".so"}
_PREFIX = "base_model.model."
_REASONS = {
    "use_dora": "DoRA also changes the size of the base's weights, which no sum of changes says",
    "lora_bias": "it has biases in its factors",
    "modules_to_save": "it replaces whole modules of its base",
    "layer_replication": "it repeats layers of its base",
    "target_parameters": "it changes parameters that are no linear layer",
    "trainable_token_indices": "it changes single rows of the embedding",
    "fan_in_fan_out": "its weights are transposed",
    "alora_invocation_tokens": "it is active in a part of the prompt only",
    "use_qalora": "its factors are of groups of inputs",
    "use_bdlora": "its factors are of blocks",
}
_HARMLESS = {
    *(
        "peft_type",
        "task_type",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "peft_version",
        "auto_mapping",
    ),
    *("r", "lora_alpha", "lora_dropout", "bias", "use_rslora", "init_lora_weights", "rank_pattern", "alpha_pattern"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "ensure_weight_tying"),
    *("megatron_core", "loftq_config", "eva_config", "qalora_group_size", "runtime_config"),
}
"""Settings that leave an adapter a pair of factors a module, or do nothing by themselves. Whatever else is set is
refused: a change that is read wrongly is worse than one that is not read."""

_PLAIN_STARTS = {True, False, "gaussian", "orthogonal", "eva"}
"""Ways to begin a LoRA that leave the base as it is; PiSSA, OLoRA, CorDA and LoftQ do not."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """What an adapter changes.

    Attributes:
        factors: module of the base, such as `model.layers.0.self_attn.q_proj` -> its change.
        uses_rslora: whether it was trained with rsLoRA, whose changes are larger by the root of the rank.
        base: what its configuration calls its base; may be empty.
    """

    factors: Mapping[str, LowRankFactors]
    uses_rslora: bool = False
    base: str = ""

    @property
    def factor_pairs(self) -> dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        """The factors as a backend takes them: module -> (a [rank, inputs], b [outputs, rank])."""
        return {module: (f.lora_a, f.lora_b) for module, f in self.factors.items()}


def load_adapter(folder: Path, shown: Path | None = None) -> Adapter:
    """The adapter in a PEFT folder.

    Args:
        folder: where it lies.
        shown: what errors call that place, where it is not `folder`.

    Raises:
        DataError: it is incomplete, broken or of a kind that cannot be merged; says which and why.
        MissingExtraError: safetensors is not installed.
    """
    shown = shown or folder
    config = load_configuration(folder)
    tensors = _tensors(folder / WEIGHTS_FILE, shown / WEIGHTS_FILE)
    factors = {}
    for module, pair in sorted(_pairs(tensors, shown).items()):
        rank = int(pair["A"].shape[0])
        named = _of_module(config.get("rank_pattern"), module, config["r"])
        if rank != named or pair["B"].shape[1] != rank:
            raise DataError(f"{module} has rank {rank}, the configuration says {named}; the adapter is broken", shown)
        alpha = _of_module(config.get("alpha_pattern"), module, config["lora_alpha"])
        scale = alpha / np.sqrt(rank) if config.get("use_rslora") else alpha / rank
        factors[module] = LowRankFactors(lora_a=pair["A"], lora_b=pair["B"] * np.float32(scale))
    return Adapter(factors, bool(config.get("use_rslora")), str(config.get("base_model_name_or_path") or ""))


def save_adapter(adapter: Adapter, folder: Path, *, half: bool = False) -> None:
    """Write a PEFT adapter folder; alpha equals the rank, so that the factors are the change as it is.

    Modules of other ranks than the most frequent are named in `rank_pattern`.

    Args:
        adapter: what is written.
        folder: made where it is not there.
        half: in half precision, which engines compute adapters in, at half the size.

    Raises:
        DataError: it cannot be written there.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    ranks = [f.rank for f in adapter.factors.values()]
    usual = max(sorted(set(ranks)), key=ranks.count)
    other = {module: f.rank for module, f in adapter.factors.items() if f.rank != usual}
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "r": usual,
        "lora_alpha": usual,
        "rank_pattern": other,
        "alpha_pattern": other,
        "target_modules": sorted({module.rpartition(".")[2] for module in adapter.factors}),
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
    tensors = {}
    precision = np.float16 if half else np.float32
    for module, f in adapter.factors.items():
        tensors[f"{_PREFIX}{module}.lora_A.weight"] = np.ascontiguousarray(f.lora_a, dtype=precision)
        tensors[f"{_PREFIX}{module}.lora_B.weight"] = np.ascontiguousarray(f.lora_b, dtype=precision)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:  # a full disk is the one or the other, depending on who writes
        raise DataError(
            f"an adapter cannot be written here ({error}); make room, or name another place", folder
        ) from error


def load_configuration(folder: Path) -> dict[str, Any]:
    """The checked configuration of a PEFT folder.

    Raises:
        DataError: there is none, or it says something that cannot be merged or must not be run.
    """
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"no adapter: it has no {CONFIG_FILE}", folder) from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read as JSON ({error})", path) from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise DataError("no LoRA adapter; only LoRA can be an expert", path)
    _refuse_code(folder, config)
    for key in sorted(key for key, value in config.items() if value and key not in _HARMLESS):
        reason = _REASONS.get(key, "we do not know what it does to the adapter")
        raise DataError(f"{key} is set: {reason}; train it as plain LoRA", path)
    if config.get("bias", "none") != "none":
        raise DataError("it trains biases of its base; train it with bias 'none'", path)
    if (start := config.get("init_lora_weights", True)) not in list(_PLAIN_STARTS):
        raise DataError(
            f"init_lora_weights is {start!r}, which changes the base itself; convert it to plain LoRA", path
        )
    for key in ("r", "lora_alpha"):
        if not _positive(config.get(key)):
            raise DataError(f"{key} must be a number above 0", path)
    for key in ("rank_pattern", "alpha_pattern"):
        _check_pattern(key, config.get(key) or {}, path)
    return config


def _check_pattern(key: str, pattern: object, path: Path) -> None:
    try:
        if isinstance(pattern, dict) and all(_positive(v) and re.compile(str(k)) for k, v in pattern.items()):
            return
    except re.error as error:
        raise DataError(f"{key} holds what is no expression ({error})", path) from error
    raise DataError(f"{key} must map names of modules to numbers above 0", path)


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _refuse_code(folder: Path, config: Mapping[str, Any]) -> None:
    found = sorted(p.name for p in folder.rglob("*") if p.suffix in _RUNS)
    if found or config.get("auto_mapping"):
        named = found[0] if found else "auto_mapping"
        raise DataError(f"it holds {named}, which can run code; give the safetensors and the configuration", folder)


def _tensors(path: Path, shown: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        raise MissingExtraError("safetensors", "embedded", "reading an adapter") from error
    try:
        found = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except FileNotFoundError as error:
        raise DataError(f"no adapter: it has no {WEIGHTS_FILE}", shown.parent) from error
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot be read as safetensors ({error}); get it again", shown) from error
    return {name: _float32(name, told, shown) for name, told in found}


def _float32(name: str, told: Mapping[str, Any], path: Path) -> npt.NDArray[np.float32]:
    raw, shape = told["data"], told["shape"]
    if told["dtype"] == "BF16":  # the upper half of a float32; numpy has no name for it
        values = (np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    elif told["dtype"] in {"F16", "F32", "F64"}:
        values = np.frombuffer(raw, dtype=f"<f{int(told['dtype'][1:]) // 8}").astype(np.float32)
    else:
        raise DataError(f"{name} is {told['dtype']}, not a floating point tensor", path)
    if not np.isfinite(values).all():
        raise DataError(f"{name} holds values that are no numbers; the training went wrong, or the file", path)
    return np.asarray(values.reshape(shape))


def _pairs(tensors: Mapping[str, npt.NDArray[np.float32]], folder: Path) -> dict[str, dict[str, Any]]:
    pairs: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        module, _, side = name.removesuffix(".weight").rpartition(".lora_")
        if side not in {"A", "B"} or not name.startswith(_PREFIX) or tensor.ndim != 2:
            raise DataError(f"{name} is no factor of a linear layer; only those can be merged", folder / WEIGHTS_FILE)
        pairs.setdefault(module.removeprefix(_PREFIX), {})[side] = tensor
    if lone := [module for module, pair in pairs.items() if len(pair) < 2]:
        raise DataError(f"{lone[0]} has one factor of two; the adapter is broken", folder / WEIGHTS_FILE)
    if not pairs:
        raise DataError("it changes nothing: there is no factor in it", folder / WEIGHTS_FILE)
    return pairs


def _of_module(pattern: Mapping[str, float] | None, module: str, usual: float) -> float:
    """What PEFT finds in a pattern: the first key that is the end of the module's name, or an expression of it."""
    for key, value in (pattern or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return usual
