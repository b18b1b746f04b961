"""PEFT adapter folders, read and written without executing anything in them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble._lib.optional import require
from entsemble._lib.regular import read_regular, regular_status
from entsemble.errors import DataError
from entsemble.experts.merging.low_rank import LowRankFactors

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"

_MAX_CONFIG_BYTES = 10_000_000

Float32Array = npt.NDArray[np.float32]

_EXECUTABLE_SUFFIXES = {".bin", ".pickle", ".pkl", ".pt", ".pth", ".py", ".so"}
_MODULE_PREFIX = "base_model.model."

_UNSUPPORTED_SETTINGS = {
    "use_dora": "DoRA also changes the magnitude of the base's weights, which a sum of changes cannot express",
    "lora_bias": "it has biases in its factors",
    "modules_to_save": "it replaces whole modules of its base",
    "layer_replication": "it repeats layers of its base",
    "target_parameters": "it changes parameters outside linear layers",
    "trainable_token_indices": "it changes single rows of the embedding",
    "fan_in_fan_out": "its weights are transposed",
    "alora_invocation_tokens": "it is active in a part of the prompt only",
    "use_qalora": "its factors are of groups of inputs",
    "use_bdlora": "its factors are of blocks",
}
"""Settings that cannot be merged, with the reason."""

_SUPPORTED_SETTINGS = {
    *("peft_type", "task_type", "base_model_name_or_path", "revision", "inference_mode", "peft_version"),
    *("auto_mapping", "r", "lora_alpha", "lora_dropout", "bias", "use_rslora", "init_lora_weights"),
    *("rank_pattern", "alpha_pattern", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("ensure_weight_tying", "megatron_core", "loftq_config", "eva_config", "qalora_group_size", "runtime_config"),
}
"""Settings with which an adapter remains one pair of factors per module. Any other setting is refused: misreading a
change is worse than not reading it."""

_PLAIN_INITIALISATIONS = [True, False, "gaussian", "orthogonal", "eva"]
"""LoRA initialisations that do not change the base, as PiSSA, OLoRA, CorDA and LoftQ do."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """The change that a LoRA adapter makes to its base.

    Attributes:
        factors: module of the base, such as `model.layers.0.self_attn.q_proj` -> its low-rank change.
        uses_rslora: whether it was trained with rsLoRA, which scales changes by alpha / sqrt(rank).
        base: name of the base in its configuration; may be empty.
    """

    factors: Mapping[str, LowRankFactors]
    uses_rslora: bool = False
    base: str = ""

    @property
    def factor_pairs(self) -> dict[str, tuple[Float32Array, Float32Array]]:
        """Module -> (A [rank, inputs], B [outputs, rank]), as backends expect them."""
        return {module: (factors.lora_a, factors.lora_b) for module, factors in self.factors.items()}


def load_adapter(folder: Path, display_path: Path | None = None) -> Adapter:
    """The adapter in a PEFT folder.

    Args:
        folder: the folder.
        display_path: what error messages show instead of `folder`.

    Raises:
        DataError: it is incomplete, corrupt, or of a kind that cannot be merged.
        MissingExtraError: safetensors is not installed.
    """
    display_path = display_path or folder
    config = load_configuration(folder)
    tensors = _load_tensors(folder / WEIGHTS_FILE, display_path / WEIGHTS_FILE)
    factors = {}
    for module, pair in sorted(_pair_factors(tensors, display_path).items()):
        rank = int(pair["A"].shape[0])
        configured_rank = _module_value(config.get("rank_pattern"), module, config["r"])
        if rank != configured_rank or pair["B"].shape[1] != rank:
            raise DataError(
                f"{module} has rank {rank}, the configuration says {configured_rank}; the adapter is corrupt",
                display_path,
            )
        alpha = _module_value(config.get("alpha_pattern"), module, config["lora_alpha"])
        scale = alpha / np.sqrt(rank) if config.get("use_rslora") else alpha / rank
        with np.errstate(over="ignore", invalid="ignore"):
            lora_b = pair["B"] * np.float32(scale)
        if not np.isfinite(lora_b).all():
            raise DataError(f"{module} is not finite when it is scaled by alpha; the adapter is corrupt", display_path)
        factors[module] = LowRankFactors(lora_a=pair["A"], lora_b=lora_b)
    return Adapter(factors, bool(config.get("use_rslora")), str(config.get("base_model_name_or_path") or ""))


def save_adapter(adapter: Adapter, folder: Path, *, half_precision: bool = False) -> None:
    """Write a PEFT adapter folder, with alpha equal to the rank, so that the factors are stored unscaled.

    Modules whose rank is not the most frequent one are listed in `rank_pattern`.

    Args:
        adapter: the adapter.
        folder: created if necessary.
        half_precision: whether weights are stored as float16, in which engines compute adapters.

    Raises:
        DataError: the folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    ranks = [factors.rank for factors in adapter.factors.values()]
    default_rank = max(sorted(set(ranks)), key=ranks.count)
    other_ranks = {module: factors.rank for module, factors in adapter.factors.items() if factors.rank != default_rank}
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "r": default_rank,
        "lora_alpha": default_rank,
        "rank_pattern": other_ranks,
        "alpha_pattern": other_ranks,
        "target_modules": sorted({module.rpartition(".")[2] for module in adapter.factors}),
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
    tensors = {}
    dtype = np.float16 if half_precision else np.float32
    for module, factors in adapter.factors.items():
        tensors[f"{_MODULE_PREFIX}{module}.lora_A.weight"] = np.ascontiguousarray(factors.lora_a, dtype=dtype)
        tensors[f"{_MODULE_PREFIX}{module}.lora_B.weight"] = np.ascontiguousarray(factors.lora_b, dtype=dtype)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:  # a full disk raises either, depending on the writer
        raise DataError(
            f"an adapter cannot be written here ({error}); free some space, or name another folder", folder
        ) from error


def load_configuration(folder: Path) -> dict[str, Any]:
    """The checked configuration of a PEFT folder.

    Raises:
        DataError: there is none, or it describes an adapter that cannot be merged or could run code.
    """
    path = folder / CONFIG_FILE
    try:
        config = json.loads(read_regular(path, _MAX_CONFIG_BYTES).decode("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"not an adapter: it has no {CONFIG_FILE}", folder) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read as JSON ({error}); get the adapter again", path) from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise DataError("not a LoRA adapter; only LoRA adapters can be experts", path)
    _refuse_code(folder, config)
    for key in sorted(key for key, value in config.items() if value and key not in _SUPPORTED_SETTINGS):
        reason = _UNSUPPORTED_SETTINGS.get(key, "its effect on the adapter is unknown")
        raise DataError(f"{key} is set: {reason}; train it as plain LoRA", path)
    if config.get("bias", "none") != "none":
        raise DataError("it trains biases of its base; train it with bias 'none'", path)
    initialisation = config.get("init_lora_weights", True)
    if initialisation not in _PLAIN_INITIALISATIONS:
        raise DataError(
            f"init_lora_weights is {initialisation!r}, which changes the base itself; convert it to plain LoRA", path
        )
    for key in ("r", "lora_alpha"):
        if not _is_positive(config.get(key)):
            raise DataError(f"{key} must be a number above 0", path)
    for key in ("rank_pattern", "alpha_pattern"):
        _check_pattern(key, config.get(key) or {}, path)
    return config


def _check_pattern(key: str, pattern: object, path: Path) -> None:
    """Check that a pattern maps regular expressions to positive numbers."""
    try:
        if isinstance(pattern, dict) and all(
            _is_positive(value) and re.compile(str(expression)) for expression, value in pattern.items()
        ):
            return
    except re.error as error:
        raise DataError(f"{key} contains an invalid regular expression ({error})", path) from error
    raise DataError(f"{key} must map names of modules to numbers above 0", path)


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.float_info.max


def _refuse_code(folder: Path, config: Mapping[str, Any]) -> None:
    executable = sorted(path.name for path in folder.rglob("*") if path.suffix in _EXECUTABLE_SUFFIXES)
    if config.get("auto_mapping"):
        executable.append("auto_mapping")
    if executable:
        raise DataError(
            f"it contains {executable[0]}, which can run code; keep only the safetensors and the configuration", folder
        )


def _load_tensors(path: Path, display_path: Path) -> dict[str, Float32Array]:
    safetensors = require("safetensors", "embedded", "reading an adapter")
    try:
        regular_status(path)
        tensors = safetensors.deserialize(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"not an adapter: it has no {WEIGHTS_FILE}", display_path.parent) from error
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(f"cannot be read as safetensors ({error}); get it again", display_path) from error
    return {name: _to_float32(name, tensor, display_path) for name, tensor in tensors}


def _to_float32(name: str, tensor: Mapping[str, Any], path: Path) -> Float32Array:
    """A tensor as safetensors describes it, as float32 of the same shape."""
    buffer, dtype = tensor["data"], tensor["dtype"]
    if dtype == "BF16":  # the upper half of a float32; numpy has no name for it
        values = (np.frombuffer(buffer, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    elif dtype in {"F16", "F32", "F64"}:
        with np.errstate(over="ignore"):
            values = np.frombuffer(buffer, dtype=f"<f{int(dtype[1:]) // 8}").astype(np.float32)
    else:
        raise DataError(f"{name} is {dtype}, not a floating point tensor", path)
    if not np.isfinite(values).all():
        raise DataError(
            f"{name} contains values that are not finite; the training failed, or the file is corrupt", path
        )
    return np.asarray(values.reshape(tensor["shape"]))


def _pair_factors(tensors: Mapping[str, Float32Array], folder: Path) -> dict[str, dict[str, Float32Array]]:
    """Module -> its factors `A` and `B`.

    Raises:
        DataError: a tensor is not a factor of a linear layer, or one of two factors is missing.
    """
    pairs: dict[str, dict[str, Float32Array]] = {}
    for name, tensor in tensors.items():
        module, _, side = name.removesuffix(".weight").rpartition(".lora_")
        if side not in {"A", "B"} or not name.startswith(_MODULE_PREFIX) or tensor.ndim != 2:
            raise DataError(
                f"{name} is not a factor of a linear layer; only those can be merged", folder / WEIGHTS_FILE
            )
        pairs.setdefault(module.removeprefix(_MODULE_PREFIX), {})[side] = tensor
    if incomplete := [module for module, pair in pairs.items() if len(pair) < 2]:
        raise DataError(f"{incomplete[0]} has one factor of two; the adapter is corrupt", folder / WEIGHTS_FILE)
    if not pairs:
        raise DataError("it changes nothing: it contains no factors", folder / WEIGHTS_FILE)
    return pairs


def _module_value(pattern: Mapping[str, float] | None, module: str, default: float) -> float:
    """A module's value as PEFT looks it up: by the first expression that matches the end of the module's name."""
    for expression, value in (pattern or {}).items():
        if re.match(rf"(.*\.)?({expression})$", module):
            return value
    return default
