"""What answers and what encodes: each model loaded once, with its experts, and closed at the end."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

from entsemble._lib.digest import sha256
from entsemble.assembly.expert_files import WeightedSum, expert_store, published_checksum, unpacked_folder
from entsemble.backends import hub
from entsemble.backends.catalogue import ModelCard, find_card
from entsemble.backends.download import DownloadCallback, ignore_progress, pull
from entsemble.backends.encoders import LlamaCppEncoder, SentenceTransformerEncoder
from entsemble.backends.llamacpp.model import EngineOptions, LlamaCppModel
from entsemble.backends.model_spec import ModelSource, ModelSpec, ServerModel, parse_model
from entsemble.backends.openai.client import RequestPolicy
from entsemble.backends.openai.model import OpenAIModel
from entsemble.backends.transformers.model import TransformersModel
from entsemble.errors import ConfigError, DataError, EntsembleError
from entsemble.execution.reply_cache import CachedModel, ReplyCache
from entsemble.experts import peft_folder
from entsemble.experts.store import Expert, load_checked_adapter
from entsemble.protocols import AdaptableModel, Encoder, LanguageModel
from entsemble.settings import Environment, MemberSettings, Settings

_LOG = logging.getLogger("entsemble")
_SERVED, _BATCHED = 16, 64
"""Sentences in flight where many are read at once: by servers, which others may use as well; by transformers."""


class _Closed(Protocol):
    def close(self) -> None: ...


Closed = TypeVar("Closed", bound=_Closed)


@dataclass(frozen=True, slots=True)
class ProgressCallbacks:
    """What to call as models are downloaded and prepared.

    Attributes:
        on_download: called with the bytes of a model that were downloaded or converted so far.
        on_step: called with (what, done, total) of a preparation: of a pool, of a selection of experts.
        on_warning: called with what could not be prepared, and what is done instead.
    """

    on_download: DownloadCallback = ignore_progress
    on_step: Callable[[str, int, int], None] = lambda *_: None
    on_warning: Callable[[str], None] = _LOG.warning


class ModelPool:
    """The models of a run, until it is closed: `contextlib.closing` sees to that.

    Args:
        settings: what the user asked for.
        environment: where things are kept.
        progress: told about downloads and preparations.
    """

    def __init__(self, settings: Settings, environment: Environment, progress: ProgressCallbacks) -> None:
        self.settings, self.environment, self.progress = settings, environment, progress
        self._open = ExitStack()
        self._servers: dict[tuple[object, ...], LanguageModel] = {}
        self._loaded: dict[tuple[object, ...], AdaptableModel] = {}
        self._files: dict[object, tuple[Path, str]] = {}
        self._encoder: Encoder | None = None
        self._cache: ReplyCache | None = None

    def close(self) -> None:
        """Give back the memory of all of them."""
        self._open.close()

    def language_model(self, member: MemberSettings) -> LanguageModel:
        """What a member asks; members of one model share it, each with its own experts applied.

        Raises:
            ConfigError: experts for a model that is not in this process, or of another base.
            ModelError: it cannot be had.
            UnknownNameError: there is no such expert.
        """
        spec = parse_model(member.model)
        if isinstance(spec.source, ServerModel):
            if member.experts:
                raise ConfigError(
                    f"{member.model}: experts change a model in this process; give a server's model its adapter "
                    f"there (vLLM: --lora-modules) and name that as the model"
                )
            if member.engine or member.precision:
                raise ConfigError(
                    f"{member.model}: a server has an engine of its own; leave `engine` and `precision` out"
                )
            if (key := _key(member)) not in self._servers:
                self._servers[key] = self._closing(self._server(spec.source, spec.name, member))
            return self._cached(self._servers[key])
        own = self._sum(member)
        for expert, _ in own.parts:
            if expert.card.template != member.template:
                raise ConfigError(
                    f"the expert {expert.card.name} was trained on the prompt shape {expert.card.template}, "
                    f"and the member has {member.template}"
                )
        others = [m for m in self.settings.members if m != member and _key(m) == _key(member)]
        sums = [own, *map(self._sum, others)]
        views = len(sums) if any(s.parts for s in sums) else 0
        key = *_key(member), *sorted(s.fingerprint for s in sums)  # an expert may be replaced while a server runs
        if key not in self._loaded:
            self._loaded[key] = self._closing(self._local(spec, member, sums, max(1, views) * self.worker_count()))
        model = self._loaded[key]
        if views:
            model = model.with_adapters(member_name(member), own.adapter_sum)
        return self._cached(model)

    def weighted_sums(
        self, member: MemberSettings, experts: Sequence[Expert], wanted: Mapping[str, Mapping[str, float]]
    ) -> dict[str, LanguageModel]:
        """The member's model, loaded once, with each of these sums of experts applied; see `at_once`.

        Args:
            member: whose model it is.
            experts: that stand in the sums.
            wanted: name of a sum -> expert -> weight; of no expert, the model as it is.
        """
        sums = {name: WeightedSum.from_weights(experts, given) for name, given in wanted.items()}
        if not sums:
            return {}
        spec, loaded = parse_model(member.model), [*sums.values()]
        if self._by_transformers(spec, member):  # it makes any sum of those that are loaded
            loaded = [WeightedSum.from_weights([e], {e.card.name: 1.0}) for e in experts]
        key = "sums", _key(member), *(s.fingerprint for s in loaded)
        if key not in self._loaded:
            self._loaded[key] = self._closing(self._local(spec, member, loaded, slots=2))
        model = self._loaded[key]
        return {name: self._cached(model.with_adapters(name, own.adapter_sum)) for name, own in sums.items()}

    @property
    def parameters(self) -> int | None:
        """Of all models that are loaded, one that several members share counted once; `None` where one is not known."""
        known = [model.parameters for model in (*self._servers.values(), *self._loaded.values())]
        return None if None in known else sum(p or 0 for p in known)

    def base_checksum(self, member: MemberSettings) -> str:
        """The checksum by which experts know the member's model; see `base_sha256`.

        Raises:
            ConfigError: a server's model, whose weights nobody knows here.
        """
        source = parse_model(member.model).source
        if isinstance(source, ServerModel):
            raise ConfigError(f"{member.model} is behind a server: its experts are kept there")
        return (
            published_checksum(source)
            if isinstance(source, ModelCard)
            else self.local_file(parse_model(member.model))[1]
        )

    def worker_count(self) -> int:
        """Sentences in flight: while each member reads one, another waits for it, so that none is ever idle.

        Servers and transformers read many at once.
        """
        many = min(map(_at_once, self.settings.members), default=1)
        return self.settings.workers or (many if many > 1 else 2 * len(self.settings.members) + 1)

    def batch_size(self, member: MemberSettings) -> int:
        """Sentences that a member's model is given at once where it is asked by itself."""
        many = _at_once(member)
        return (self.settings.workers or many) if many > 1 else 1

    def encoder(self) -> Encoder:
        """The encoder of retrieval and of domains."""
        if self._encoder is None:
            self._encoder = self._make_encoder()
        return self._encoder

    def local_file(self, spec: ModelSpec) -> tuple[Path, str]:
        """The model's file, pulled where it is not there yet, and what identifies its content, which is read once."""
        if spec.source not in self._files:
            self._files[spec.source] = self._found(spec.source)
        return self._files[spec.source]

    def _found(self, source: ModelSource) -> tuple[Path, str]:
        where = self.environment
        if isinstance(source, ModelCard):
            path = pull(
                source,
                where.cache,
                on_progress=self.progress.on_download,
                hub_endpoint=where.hub_endpoint,
                hub_token=where.hub_token,
            )
            return path, f"{source.name}:{source.quantisation}:{path.stat().st_size}"
        if isinstance(source, Path):
            if source.is_dir():
                return source, _folder_sha256(source)
            if not source.is_file():
                raise ConfigError(f"no model file at {source}")
            return source, sha256(source)
        if isinstance(source, ServerModel):
            raise ConfigError(f"openai:{source.model} is behind a server and has no file")
        path = hub.download(
            source,
            where.cache,
            on_progress=self.progress.on_download,
            hub_endpoint=where.hub_endpoint,
            hub_token=where.hub_token,
        )
        return path, _folder_sha256(path) if path.is_dir() else sha256(path)

    def _sum(self, member: MemberSettings) -> WeightedSum:
        """Of the experts that a member asks for, by name."""
        weights, store = _weights(member), expert_store(self.environment)
        return WeightedSum.from_weights(map(store.get, sorted(weights)), weights)

    def _by_transformers(self, spec: ModelSpec, member: MemberSettings) -> bool:
        return self.local_file(spec)[0].is_dir() or member.engine == "transformers"

    def _local(
        self, spec: ModelSpec, member: MemberSettings, sums: Sequence[WeightedSum], slots: int
    ) -> AdaptableModel:
        path, fingerprint = self.local_file(spec)
        by_transformers = self._by_transformers(spec, member)
        if path.is_dir() and member.engine == "llama.cpp":
            raise ConfigError(f"{member.model}: llama.cpp runs GGUF files, and this is a folder; leave `engine` out")
        if member.precision and not by_transformers:
            raise ConfigError(
                f"{member.model}: llama.cpp computes in the precision of the GGUF file; leave `precision` out, "
                f'or say engine = "transformers"'
            )
        base = self.base_checksum(member)
        experts = {expert.card.name: expert for own in sums for expert, _ in own.parts}
        for expert in experts.values():
            if expert.card.base_sha256 != base:
                theirs = f"{expert.card.base} of checksum {expert.card.base_sha256[:12]}"
                raise ConfigError(
                    f"the expert {expert.card.name} changes {theirs}, not {member.model} of checksum {base[:12]}; "
                    f"name a member's model that it was trained on"
                )
        name = member_name(member)
        known = spec.source.parameters if isinstance(spec.source, ModelCard) else None

        def write(folder: Path) -> dict[str, Path]:
            if by_transformers:
                files = {which: folder / which for which in experts}
                for which, file in files.items():
                    peft_folder.save_adapter(load_checked_adapter(experts[which]), file)
                return files
            told = {own.fingerprint: own for own in sums if own.parts}
            files = {which: folder / f"{number}.gguf" for number, which in enumerate(told)}
            for which, file in files.items():
                told[which].write(path, file)
            return files

        made: AbstractContextManager[dict[str, Path]] = _written(write) if experts else nullcontext({})
        with made as adapters:  # engines read them when they start, and once
            if by_transformers:
                return TransformersModel(
                    name,
                    path,
                    fingerprint=fingerprint,
                    context=member.context,
                    slots=max(slots, 2 * self.worker_count()),
                    adapters=adapters,
                    precision=member.precision or "float32",
                    unpacked_folder=unpacked_folder(fingerprint, self.environment),
                )
            engine = EngineOptions(
                context=member.context,
                slots=slots,
                threads=self._threads(),
                gpu_layers=member.gpu_layers,
                adapters=adapters,
            )
            return LlamaCppModel(name, path, fingerprint=fingerprint, parameters=known, options=engine)

    def _server(self, source: ServerModel, name: str, member: MemberSettings) -> LanguageModel:
        if member.base_url is None:
            raise ConfigError(f'{member.model}: a server\'s model needs a base_url, such as "http://localhost:8000/v1"')
        return OpenAIModel(
            member.name or name,
            member.base_url,
            source.model,
            self.environment.keys.get(member.api_key_env),
            api=member.api,
            choose=member.option_scoring,
            policy=RequestPolicy(
                timeout=member.timeout,
                retries=member.retries,
                concurrency=member.concurrency or self.worker_count(),
                requests_per_minute=member.requests_per_minute,
            ),
        )

    def _threads(self) -> int:
        loaded = len({_key(m) for m in self.settings.members})
        return self.settings.threads or max(1, _cores() // max(1, loaded))

    def _closing(self, model: Closed) -> Closed:
        self._open.callback(model.close)
        return model

    def _cached(self, model: LanguageModel) -> LanguageModel:
        if not self.settings.cache.replies:
            return model
        if self._cache is None:
            self._cache = ReplyCache(self.environment.cache / "replies.sqlite", self.settings.cache.max_megabytes << 20)
            self._open.callback(self._cache.close)
        return CachedModel(model, self._cache)

    def _make_encoder(self) -> Encoder:
        name = self.settings.encoder.model
        try:
            known = find_card(name)
        except EntsembleError:
            folder = Path(name)
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            return SentenceTransformerEncoder(name, _sha256_of(folder, files) if folder.is_dir() else None)
        if known.kind != "encoder":
            raise ConfigError(f"{name} writes text and makes no vectors; an encoder that does is minilm-l6")
        path, fingerprint = self.local_file(ModelSpec(name, known))
        return self._closing(LlamaCppEncoder(path, fingerprint=fingerprint, threads=_cores()))


def member_name(member: MemberSettings) -> str:
    """What votes and reports call a member: its name, or else its model's."""
    return member.name or parse_model(member.model).name


def base_checksum(model: str, environment: Environment) -> str:
    """The checksum by which experts know a model, as `--base` names it."""
    with closing(ModelPool(Settings(), environment, ProgressCallbacks())) as models:
        return models.base_checksum(MemberSettings(model=model))


def _key(member: MemberSettings) -> tuple[object, ...]:
    """What two members must have in common to share a loaded model."""
    place = (parse_model(member.model).source, member.base_url, member.api, member.option_scoring)
    return *place, member.context, member.engine, member.precision, member.gpu_layers


def _at_once(member: MemberSettings) -> int:
    source = parse_model(member.model).source
    if isinstance(source, ServerModel):
        return _SERVED
    folder = isinstance(source, Path) and source.is_dir()
    return _BATCHED if folder or member.engine == "transformers" else 1


def _weights(member: MemberSettings) -> dict[str, float]:
    """The member's experts and their weights.

    Raises:
        ConfigError: they are to be chosen by the texts, and nobody did.
    """
    if isinstance(member.experts, str):
        raise ConfigError(
            f'{member.model}: experts = "{member.experts}" are chosen by the texts, which are not known here; '
            f"`entsemble experts select` says which they are"
        )
    return dict(member.experts)


@contextmanager
def _written(write: Callable[[Path], dict[str, Path]]) -> Iterator[dict[str, Path]]:
    """What an engine reads when it starts: the files that `write` makes in a folder, gone afterwards.

    Raises:
        DataError: they cannot be written.
    """
    with ExitStack() as stack:
        try:
            files = write(Path(stack.enter_context(TemporaryDirectory(prefix="entsemble-"))))
        except OSError as error:
            told = f"the experts cannot be written for the engine ({error.strerror})"
            raise DataError(f"{told}; make room, or name a folder in TMPDIR") from error
        yield files


def _folder_sha256(folder: Path) -> str:
    """Of a folder as transformers writes it: its weights, its configuration and its tokenizer."""
    files = sorted(p for p in folder.iterdir() if p.suffix in {".safetensors", ".json", ".txt", ".model"})
    if not any(p.suffix == ".safetensors" for p in files):
        raise ConfigError(f"no model in {folder}: it holds no safetensors")
    return _sha256_of(folder, files)


def _sha256_of(folder: Path, files: Sequence[Path]) -> str:
    """Of files in a folder, and of what they are called there."""
    told = "\n".join(f"{p.relative_to(folder).as_posix()} {sha256(p)}" for p in files)
    return hashlib.sha256(told.encode()).hexdigest()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
