"""The models and the encoder of a run: each loaded once, with its experts, and closed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from pathlib import Path
from typing import Protocol, TypeVar

from entsemble.assembly.cache_folder import CacheUse
from entsemble.assembly.expert_files import (
    WeightedSum,
    expert_store,
    published_checksum,
    temporary_adapter_files,
    unpacked_folder,
    write_gguf_files,
    write_peft_folders,
)
from entsemble.assembly.members import concurrent_sentences, expert_weights, member_name, sharing_key
from entsemble.assembly.model_files import ModelFiles, folder_sha256
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.voice_models import load_voice
from entsemble.backends.catalogue import ModelCard, find_card
from entsemble.backends.encoders import LlamaCppEncoder, SentenceTransformerEncoder
from entsemble.backends.llamacpp.engine import LlamaCppOptions
from entsemble.backends.llamacpp.model import LlamaCppModel
from entsemble.backends.model_spec import ModelSpec, ServerModel, parse_model
from entsemble.backends.voice_spec import VoiceSpec
from entsemble.errors import ConfigError, EntsembleError, ModelError
from entsemble.execution.cached_model import CachedModel
from entsemble.execution.reply_cache import ReplyCache
from entsemble.experts.merging.merge import WEIGHTED_SUM
from entsemble.experts.store import Expert
from entsemble.protocols import AdaptableModel, Encoder, LanguageModel, SpanScorer, SpanTagger
from entsemble.settings import Environment, MemberSettings, Settings


class _Closable(Protocol):
    def close(self) -> None: ...


Closable = TypeVar("Closable", bound=_Closable)


class ModelPool:
    """The models of a run; whoever makes it closes it.

    Args:
        settings: which models, and how they are run.
        environment: where models, experts and replies are stored.
        progress: called as models are downloaded.
    """

    def __init__(self, settings: Settings, environment: Environment, progress: ProgressCallbacks) -> None:
        self.settings, self.environment, self.progress = settings, environment, progress
        self.files = ModelFiles(environment, progress.on_download)
        self._exit_stack = ExitStack()
        self._close_at_end(CacheUse(environment.cache))
        self._servers: dict[tuple[object, ...], LanguageModel] = {}
        self._engines: dict[tuple[object, ...], AdaptableModel] = {}
        self._encoder: Encoder | None = None
        self._voices: dict[str, SpanScorer | SpanTagger] = {}
        self._reply_cache: ReplyCache | None = None

    def close(self) -> None:
        """Free the memory of all of them."""
        self._exit_stack.close()

    @property
    def parameters(self) -> int | None:
        """Weights of all loaded models, each counted once; `None` if one of them does not tell."""
        counts = [model.parameters for model in (*self._servers.values(), *self._engines.values())]
        counts += [voice.parameters for voice in self._voices.values()]
        return None if None in counts else sum(count or 0 for count in counts)

    def encoder(self) -> Encoder:
        """The encoder of retrieval and of domains."""
        if self._encoder is None:
            self._encoder = self._load_encoder()
        return self._encoder

    def voice(self, spec: VoiceSpec) -> SpanScorer | SpanTagger:
        """The model of a voice.

        Raises:
            EntsembleError: it cannot be loaded; see `load_voice`.
        """
        key = f"{spec.kind}:{spec.target}"
        if key not in self._voices:
            threads = self.settings.threads or 1
            self._voices[key] = self._close_at_end(load_voice(spec, self.environment, self.files, threads=threads))
        return self._voices[key]

    def language_model(self, member: MemberSettings) -> LanguageModel:
        """The model of a member, with its experts applied; members of one model share what is loaded.

        Raises:
            ConfigError: experts of another base, or of a model that is not in this process.
            ModelError: it cannot be loaded.
            UnknownNameError: there is no such expert.
        """
        spec = parse_model(member.model)
        if isinstance(spec.source, ServerModel):
            return self._cached(self._server_model(spec.source, spec.name, member))
        weighted_sum = self._weighted_sum(member)
        for expert, _ in weighted_sum.parts:
            if expert.card.template != member.template:
                raise ConfigError(
                    f"the expert {expert.card.name} was trained with the prompt template {expert.card.template}, "
                    f"and the member has {member.template}"
                )
        others = [
            other for other in self.settings.members if other != member and sharing_key(other) == sharing_key(member)
        ]
        expert_sums = [weighted_sum, *map(self._weighted_sum, others)]
        has_experts = any(expert_sum.parts for expert_sum in expert_sums)
        slots = (len(expert_sums) if has_experts else 1) * self.worker_count()
        fingerprints = sorted(expert_sum.fingerprint for expert_sum in expert_sums)
        engine_key = *sharing_key(member), *fingerprints  # an expert may have been replaced since
        engine = self._engine(engine_key, spec, member, expert_sums, slots)
        if has_experts:
            engine = engine.with_adapters(member_name(member), weighted_sum.adapter_sum)
        return self._cached(engine)

    def weighted_sums(
        self, member: MemberSettings, experts: Sequence[Expert], weights: Mapping[str, Mapping[str, float]]
    ) -> dict[str, LanguageModel]:
        """The member's model, loaded once, with each of several sums of experts applied; see `batch_size`.

        Args:
            member: whose model it is.
            experts: those in the sums.
            weights: name of a sum -> expert -> weight; empty for the model as it is.
        """
        expert_sums = {
            sum_name: WeightedSum.from_weights(experts, sum_weights, self.settings.experts.method)
            for sum_name, sum_weights in weights.items()
        }
        if not expert_sums:
            return {}
        spec, loaded = parse_model(member.model), list(expert_sums.values())
        if self._uses_transformers(spec, member):  # it can add up whatever adapters are loaded
            loaded = [expert_sum for expert_sum in loaded if expert_sum.method != WEIGHTED_SUM]
            loaded += [WeightedSum.from_weights([expert], {expert.card.name: 1.0}) for expert in experts]
        engine_key = "sums", sharing_key(member), *(expert_sum.fingerprint for expert_sum in loaded)
        engine = self._engine(engine_key, spec, member, loaded, slots=2)
        return {
            sum_name: self._cached(engine.with_adapters(sum_name, expert_sum.adapter_sum))
            for sum_name, expert_sum in expert_sums.items()
        }

    def base_checksum(self, member: MemberSettings) -> str:
        """The checksum by which experts identify the member's model; see `published_checksum`.

        Raises:
            ConfigError: the model is behind a server, so that its weights are not known here.
        """
        spec = parse_model(member.model)
        if isinstance(spec.source, ServerModel):
            raise ConfigError(f"{member.model} is behind a server: its experts are kept there")
        return published_checksum(spec.source) if isinstance(spec.source, ModelCard) else self.files.locate(spec)[1]

    def worker_count(self) -> int:
        """Sentences in flight: two for each member of an embedded engine and one more, so that no engine is ever idle.

        Servers and transformers evaluate many at once; a label reader alone takes one on each core.
        """
        if not self.settings.members:
            return self.settings.workers or _available_cores()
        concurrent = min(map(concurrent_sentences, self.settings.members))
        return self.settings.workers or (concurrent if concurrent > 1 else 2 * len(self.settings.members) + 1)

    def batch_size(self, member: MemberSettings) -> int:
        """Sentences in flight if this member's model is the only one that runs."""
        concurrent = concurrent_sentences(member)
        return (self.settings.workers or concurrent) if concurrent > 1 else 1

    def _weighted_sum(self, member: MemberSettings) -> WeightedSum:
        """The experts that the member names."""
        weights, store = expert_weights(member), expert_store(self.environment)
        return WeightedSum.from_weights(map(store.get, sorted(weights)), weights, self.settings.experts.method)

    def _uses_transformers(self, spec: ModelSpec, member: MemberSettings) -> bool:
        return self.files.locate(spec)[0].is_dir() or member.engine == "transformers"

    def _engine(
        self,
        engine_key: tuple[object, ...],
        spec: ModelSpec,
        member: MemberSettings,
        expert_sums: Sequence[WeightedSum],
        slots: int,
    ) -> AdaptableModel:
        """The engine of that key, which is loaded unless it is already."""
        if engine_key not in self._engines:
            self._engines[engine_key] = self._close_at_end(self._load_engine(spec, member, expert_sums, slots))
        return self._engines[engine_key]

    def _load_engine(
        self, spec: ModelSpec, member: MemberSettings, expert_sums: Sequence[WeightedSum], slots: int
    ) -> AdaptableModel:
        """The member's model in this process, ready to apply any of these sums of experts."""
        model_path, fingerprint = self.files.locate(spec)
        uses_transformers = self._uses_transformers(spec, member)
        self._check_engine(member, is_folder=model_path.is_dir(), uses_transformers=uses_transformers)
        experts = [expert for expert_sum in expert_sums for expert, _ in expert_sum.parts]
        self._check_base(member, experts)

        def write_adapters(folder: Path) -> dict[str, Path]:
            if uses_transformers:
                return write_peft_folders(expert_sums, folder)
            return write_gguf_files(expert_sums, model_path, folder)

        adapter_files: AbstractContextManager[dict[str, Path]] = (
            temporary_adapter_files(write_adapters) if experts else nullcontext({})
        )
        with adapter_files as adapters:  # engines read them once, when they start
            if uses_transformers:
                from entsemble.backends.transformers import TransformersModel, TransformersOptions

                transformers_options = TransformersOptions(
                    context=member.context,
                    slots=max(slots, 2 * self.worker_count()),
                    adapters=adapters,
                    precision=member.precision or "float32",
                    unpacked_folder=unpacked_folder(fingerprint, self.environment),
                )
                return TransformersModel(
                    member_name(member), model_path, fingerprint=fingerprint, options=transformers_options
                )
            parameters = spec.source.parameters if isinstance(spec.source, ModelCard) else None
            options = LlamaCppOptions(
                context=member.context,
                slots=slots,
                threads=self._engine_threads(),
                gpu_layers=member.gpu_layers,
                adapters=adapters,
            )
            return LlamaCppModel(
                member_name(member), model_path, fingerprint=fingerprint, parameters=parameters, options=options
            )

    @staticmethod
    def _check_engine(member: MemberSettings, *, is_folder: bool, uses_transformers: bool) -> None:
        if is_folder and member.engine == "llama.cpp":
            raise ConfigError(f"{member.model}: llama.cpp runs GGUF files, and this is a folder; leave `engine` out")
        if member.precision and not uses_transformers:
            raise ConfigError(
                f"{member.model}: llama.cpp computes in the precision of the GGUF file; leave `precision` out, "
                f'or set engine = "transformers"'
            )

    def _check_base(self, member: MemberSettings, experts: Iterable[Expert]) -> None:
        """Raise ConfigError if an expert was trained on another model."""
        checksum = self.base_checksum(member)
        for expert in experts:
            expert_card = expert.card
            if expert_card.base_sha256 != checksum:
                raise ConfigError(
                    f"the expert {expert_card.name} was trained on {expert_card.base} "
                    f"(checksum {expert_card.base_sha256[:12]}), not on "
                    f"{member.model} (checksum {checksum[:12]}); name a member's model that it was trained on"
                )

    def _server_model(self, source: ServerModel, name: str, member: MemberSettings) -> LanguageModel:
        if member.experts:
            raise ConfigError(
                f"{member.model}: experts change a model in this process; give a server's model its adapter "
                f"there (vLLM: --lora-modules) and name that as the model"
            )
        if member.engine or member.precision:
            raise ConfigError(f"{member.model}: a server has its own engine; leave `engine` and `precision` out")
        server_key = sharing_key(member)
        if server_key not in self._servers:
            self._servers[server_key] = self._close_at_end(self._connect(source, name, member))
        return self._servers[server_key]

    def _connect(self, source: ServerModel, name: str, member: MemberSettings) -> LanguageModel:
        from entsemble.backends.openai.client import RequestPolicy  # an HTTP client, which most runs do not need
        from entsemble.backends.openai.model import OpenAIModel
        from entsemble.backends.openai.probe import ServerOptions

        if member.base_url is None:
            raise ConfigError(f'{member.model}: a server\'s model needs a base_url, such as "http://localhost:8000/v1"')
        model = OpenAIModel(
            member.name or name,
            member.base_url,
            source.model,
            self.environment.keys.get(member.api_key_env),
            options=ServerOptions(member.api, member.option_scoring, member.samples, member.context),
            policy=RequestPolicy(
                timeout=member.timeout,
                retries=member.retries,
                concurrency=member.concurrency or self.worker_count(),
                requests_per_minute=member.requests_per_minute,
            ),
            announce=self.progress.on_note,
        )
        try:
            model.probe()
        except ModelError as error:  # it may be up when it is needed, and a quorum may do without it
            self.progress.on_warning(f"{model.name}: {error}")
        return model

    def _load_encoder(self) -> Encoder:
        encoder_name = self.settings.encoder.model
        try:
            model_card = find_card(encoder_name)
        except EntsembleError:
            folder = Path(encoder_name)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            checksum = folder_sha256(folder, files, self.environment.cache) if folder.is_dir() else None
            return SentenceTransformerEncoder(encoder_name, checksum)
        if model_card.kind != "encoder":
            raise ConfigError(f"{encoder_name} is a language model, not an encoder; an encoder is minilm-l6")
        model_path, fingerprint = self.files.locate(ModelSpec(encoder_name, model_card))
        return self._close_at_end(
            LlamaCppEncoder(model_path, fingerprint=fingerprint, weights_fingerprint=model_card.weights_fingerprint)
        )

    def _engine_threads(self) -> int:
        """CPU threads of each engine: as the settings say, or a share of the cores."""
        engines = len({sharing_key(member) for member in self.settings.members})
        return self.settings.threads or max(1, _available_cores() // max(1, engines))

    def _close_at_end(self, closable: Closable) -> Closable:
        self._exit_stack.callback(closable.close)
        return closable

    def _cached(self, model: LanguageModel) -> LanguageModel:
        """The model with the reply cache before it, unless the settings turn it off."""
        if not self.settings.cache.replies:
            return model
        if self._reply_cache is None:
            cache_path, max_bytes = self.environment.cache / "replies.sqlite", self.settings.cache.max_megabytes << 20
            self._reply_cache = self._close_at_end(ReplyCache(cache_path, max_bytes))
        return CachedModel(model, self._reply_cache)


def base_checksum(model: str, environment: Environment) -> str:
    """The checksum by which experts identify a model, named as for `--base`."""
    with closing(ModelPool(Settings(), environment, ProgressCallbacks())) as models:
        return models.base_checksum(MemberSettings(model=model))


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
