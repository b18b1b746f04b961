"""Configures and starts llama.cpp engines in this process, through xllamacpp."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from entsemble._lib.optional import require
from entsemble.errors import ModelUnavailableError


@dataclass(frozen=True, slots=True)
class LlamaCppOptions:
    """How llama.cpp runs a model.

    Attributes:
        context: tokens that a prompt and its reply may fill.
        slots: KV caches, each for one sentence.
        parallel: requests that the engine evaluates at once. More than one is faster on a GPU, but answers may then
            differ in the second digit from run to run, since batches do.
        threads: CPU threads.
        gpu_layers: layers put on a GPU, if the installed engine supports one.
        adapters: fingerprint of a sum of adapters -> the sum as one GGUF LoRA file, loaded beside the model; without
            effect until `with_adapters` applies it. One file, because llama.cpp would add up several in the order in
            which they are in memory, and with quantised activations another order gives another answer.
    """

    context: int = 4096
    slots: int = 2
    parallel: int = 1
    threads: int = 2
    gpu_layers: int = 0
    adapters: Mapping[str, Path] = field(default_factory=dict)


def engine_version() -> str:
    """The version of xllamacpp; with another one, answers may differ in the second digit."""
    try:
        return metadata.version("xllamacpp")
    except metadata.PackageNotFoundError:
        return "unknown"


def start_engine(path: Path, options: LlamaCppOptions) -> Any:  # noqa: ANN401 - untyped library
    """A running engine for a language model; raises what `load_engine` raises."""

    def configure(parameters: Any) -> None:  # noqa: ANN401 - untyped library
        parameters.n_ctx, parameters.n_parallel = options.context * options.slots, options.slots
        parameters.kv_unified = False
        parameters.swa_full = True  # otherwise sliding-window models lose the prefix
        parameters.cache_ram_mib = 0  # the engine's own prefix cache would make answers depend on history
        parameters.n_gpu_layers = options.gpu_layers
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options.threads
        parameters.lora_adapters = [_adapter_info(file) for file in options.adapters.values()]
        parameters.lora_init_without_apply = True

    return load_engine(path, configure)


def load_engine(path: Path, configure: Callable[[Any], None]) -> Any:  # noqa: ANN401 - untyped library
    """A running engine for the model at `path`, its parameters set by `configure`.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelUnavailableError: there is no such file, or llama.cpp cannot load it.
    """
    xllamacpp = require("xllamacpp", "embedded", "a model in this process")
    if not path.is_file():
        raise ModelUnavailableError(f"no model file at {path}")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelUnavailableError(f"{path} is not a GGUF file, the only kind that llama.cpp loads")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.verbosity, parameters.ui, parameters.warmup = -1, False, False
    configure(parameters)
    try:
        return xllamacpp.Server(parameters)
    except (RuntimeError, ValueError) as error:
        raise ModelUnavailableError(f"llama.cpp cannot load {path}: {error}") from error


def _adapter_info(file: Path) -> Any:  # noqa: ANN401 - untyped library
    import xllamacpp

    if not file.is_file():
        raise ModelUnavailableError(f"no adapter file at {file}")
    adapter_info = xllamacpp.CommonAdapterLoraInfo()
    adapter_info.path, adapter_info.scale = str(file), 1.0
    return adapter_info
