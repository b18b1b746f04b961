"""Training of an expert: from annotated files to an expert with its card in the store."""

from __future__ import annotations

import hashlib
import json
import platform
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from entsemble._lib.temporary import temporary_folder
from entsemble.assembly.builder import Assembly
from entsemble.assembly.expert_data import LANGUAGE, TEMPLATE, Corpus, TrainingData, labels_of, read_corpus
from entsemble.assembly.expert_files import expert_store, unpacked_folder
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.zero_shot import score_extractor, zero_shot_extractor
from entsemble.backends.gguf.lora import adapter_architecture, write_lora
from entsemble.backends.llamacpp.engine import LlamaCppOptions
from entsemble.backends.llamacpp.model import LlamaCppModel
from entsemble.backends.model_spec import parse_model
from entsemble.backends.transformers import TransformersModel, TransformersOptions, load_model
from entsemble.errors import ConfigError
from entsemble.experts import peft_folder
from entsemble.experts.card import (
    Card,
    DomainVectors,
    Score,
    Source,
    StartingExpert,
    combine_licences,
)
from entsemble.experts.checkpoint import TrainingSettings
from entsemble.experts.examples import PARAPHRASES_FILE, PromptVariation
from entsemble.experts.lora import attach_lora, extract_adapter
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.selection import cluster_centres
from entsemble.experts.store import Expert, ExpertStore, load_checked_adapter
from entsemble.experts.training import TrainingProgress, TrainingResult, train
from entsemble.prompting.template import load_template
from entsemble.protocols import AdaptableModel, Encoder
from entsemble.settings import Environment, MemberSettings, Settings
from entsemble.types import AdapterSum, Document

_MAX_ENCODED = 1000
"""How many training sentences are encoded to describe the expert's domain."""

_PACKAGES = ("torch", "transformers", "peft")
"""Packages whose versions a card records."""


@dataclass(frozen=True, slots=True)
class ExpertSpec:
    """What an expert is to be, and how it is trained.

    Attributes:
        name: in the store.
        data: annotated files to train on.
        base: the model to adapt: in the catalogue, a `.gguf` file, or a transformers model folder.
        domain: what the texts are about.
        licence: of the expert.
        dev_path: annotated file to select the best epoch by; a part of the data if not given.
        limit: number of training sentences at most, drawn with the seed.
        training: rank, epochs, learning rate and so on.
        prompt_variation: how prompts vary in training.
        start: name of an expert of the same base to start from.
        foundation: whether others are to start from it; see `Card`.
        replace: whether an expert of that name is replaced.
    """

    name: str
    data: tuple[TrainingData, ...]
    base: str = "smollm2-135m"
    domain: str = ""
    licence: str = "unknown"
    dev_path: Path | None = None
    limit: int | None = None
    training: TrainingSettings = field(default_factory=TrainingSettings)
    prompt_variation: PromptVariation = field(default_factory=PromptVariation)
    start: str | None = None
    foundation: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class _Preparation:
    """All that a training needs, loaded before it starts, so that errors do not come after hours.

    Attributes:
        corpus: the sentences.
        starting_expert: to start from, if any.
        base_path: file or folder of the base.
        base_checksum: by which experts identify the base.
        fingerprint: of the base's file.
        encoder: for the domain vectors.
    """

    corpus: Corpus
    starting_expert: Expert | None
    base_path: Path
    base_checksum: str
    fingerprint: str
    encoder: Encoder


def train_expert(
    spec: ExpertSpec,
    environment: Environment,
    progress: ProgressCallbacks | None = None,
    on_training: Callable[[TrainingProgress], None] = lambda _: None,
) -> Expert:
    """Train an expert and add it to the store. The same call resumes a training that was stopped.

    Args:
        spec: what to train.
        environment: where experts, models and unfinished trainings are stored.
        progress: called as models are downloaded.
        on_training: called after each training step.

    Raises:
        ConfigError: a name that is used, a base that cannot be trained, or a start that does not fit.
        DataError: the data cannot be read, or has too few mentions.
        MissingExtraError: the extra `experts` is not installed.
        ModelError: the base cannot be loaded.
        UnknownNameError: there is no such expert to start from.
    """
    store = expert_store(environment)
    _check(spec, store)
    with Assembly(Settings(), environment, progress) as assembly:
        preparation = _prepare(spec, store, assembly)
        folder = environment.cache / "training" / _training_key(spec, preparation)
        result = _fit(spec, preparation, folder, unpacked_folder(preparation.fingerprint, environment), on_training)
        adapter = peft_folder.load_adapter(result.folder)
        score = score_adapter(adapter, preparation.corpus.held_out, preparation.base_path)
        card = _card(spec, preparation, result, score)
    expert = store.add(result.folder, card, replace=spec.replace)
    shutil.rmtree(folder, ignore_errors=True)
    return expert


def _check(spec: ExpertSpec, store: ExpertStore) -> None:
    """Raise ConfigError for what is wrong before any file is read."""
    store.check_name(spec.name, replace=spec.replace)
    if spec.training.seed < 0 or not 0 < spec.training.learning_rate < 1:
        raise ConfigError("the seed must be at least 0, and the learning rate between 0 and 1")


def _prepare(spec: ExpertSpec, store: ExpertStore, assembly: Assembly) -> _Preparation:
    starting_expert = store.get(spec.start) if spec.start is not None else None
    corpus = read_corpus(spec.data, spec.dev_path, spec.limit, spec.training.seed)
    base_path, fingerprint = assembly.models.files.locate(parse_model(spec.base))
    if base_path.is_file():
        adapter_architecture(base_path)
    encoder = assembly.encoder()
    checksum = assembly.models.base_checksum(MemberSettings(model=spec.base))
    if starting_expert is not None:
        card = starting_expert.card
        if (card.base_sha256, card.template) != (checksum, TEMPLATE):
            raise ConfigError(f"{card.name} cannot be started from: it adapts {card.base}, not {spec.base}")
    return _Preparation(corpus, starting_expert, base_path, checksum, fingerprint, encoder)


def _fit(
    spec: ExpertSpec,
    preparation: _Preparation,
    folder: Path,
    unpacked: Path,
    on_training: Callable[[TrainingProgress], None],
) -> TrainingResult:
    """Train the adapter.

    Args:
        spec: what to train.
        preparation: see there.
        folder: for checkpoints, of which the last is resumed.
        unpacked: for a base that is unpacked from GGUF.
        on_training: called after each step.
    """
    settings, corpus, starting_expert = spec.training, preparation.corpus, preparation.starting_expert
    starting_adapter = None if starting_expert is None else load_checked_adapter(starting_expert)
    model, tokenize = load_model(preparation.base_path, settings.precision, unpacked_folder=unpacked)

    def evaluate(tuned: object) -> float:
        adapter = extract_adapter(tuned, spec.base)
        return score_adapter(adapter, corpus.held_out, preparation.base_path).f1

    return train(
        attach_lora(model, rank=settings.rank, alpha=settings.alpha, seed=settings.seed, start=starting_adapter),
        tokenize,
        lambda epoch: corpus.examples(spec.prompt_variation, settings.seed, epoch),
        settings,
        folder,
        base=spec.base,
        evaluate=evaluate,
        on_progress=on_training,
    )


def score_adapter(adapter: Adapter, gold: Sequence[Document], base_path: Path) -> Score:
    """How well an expert does on annotated sentences, with their labels and the engine that users have.

    Args:
        adapter: the expert's.
        gold: annotated sentences.
        base_path: GGUF file, or transformers model folder, of the base.
    """
    labels = labels_of(gold)
    with _adapted_model(adapter, base_path) as model:
        return score_extractor(zero_shot_extractor(model, labels, TEMPLATE, LANGUAGE), gold, "held back")


@contextmanager
def _adapted_model(adapter: Adapter, base_path: Path) -> Iterator[AdaptableModel]:
    """The base in the engine that users have, with the adapter applied."""
    adapter_sum = AdapterSum({"expert": 1.0}, "expert")
    with temporary_folder() as folder:
        if base_path.is_dir():
            peft_folder.save_adapter(adapter, folder)
            transformers_options = TransformersOptions(adapters={"expert": folder})
            with closing(
                TransformersModel("base", base_path, fingerprint="", options=transformers_options)
            ) as transformers_model:
                yield transformers_model.with_adapters("expert", adapter_sum)
        else:
            adapter_file = folder / "adapter.gguf"
            write_lora(adapter.factor_pairs, base_path, adapter_file)
            options = LlamaCppOptions(adapters={"expert": adapter_file})
            with closing(LlamaCppModel("base", base_path, fingerprint="", options=options)) as llamacpp_model:
                yield llamacpp_model.with_adapters("expert", adapter_sum)


def _card(spec: ExpertSpec, preparation: _Preparation, result: TrainingResult, score: Score) -> Card:
    """The card of a trained expert."""
    settings, corpus = spec.training, preparation.corpus
    starting_card = preparation.starting_expert.card if preparation.starting_expert else None
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}
    hyperparameters = {name: float(value) for name, value in asdict(settings).items() if isinstance(value, int | float)}
    return Card(
        name=spec.name,
        domain=spec.domain,
        base=spec.base,
        base_sha256=preparation.base_checksum,
        template=TEMPLATE,
        labels=tuple(sorted({*corpus.labels, *(starting_card.labels if starting_card else ())})),
        sources=_all_sources(corpus.sources, starting_card),
        licence=combine_licences([spec.licence, *([starting_card.licence] if starting_card else [])]),
        vectors=_domain_vectors(corpus, preparation.encoder, settings.seed),
        scores=(score,),
        seed=settings.seed,
        precision=settings.precision,
        training={**hyperparameters, "best epoch": result.best_epoch + 1, "loss": result.loss},
        versions=versions,
        foundation=spec.foundation,
        start=StartingExpert(expert=starting_card.name, sha256=starting_card.files[peft_folder.WEIGHTS_FILE])
        if starting_card
        else None,
    )


def _domain_vectors(corpus: Corpus, encoder: Encoder, seed: int) -> DomainVectors:
    """The cluster centres of some training sentences, rounded for the card."""
    sample = random.Random(seed).sample(corpus.training, min(len(corpus.training), _MAX_ENCODED))
    rows, counts = cluster_centres(encoder.encode([sentence.document.text for sentence in sample]), seed=seed)
    return DomainVectors(
        encoder=encoder.weights_fingerprint,
        rows=tuple(tuple(round(float(value), 5) for value in row) for row in rows),
        sentences=counts,
    )


def _all_sources(sources: Sequence[Source], starting_card: Card | None) -> tuple[Source, ...]:
    """The expert's own data, and that of the expert that it started from, each once."""
    digests = {source.sha256 for source in sources}
    inherited = starting_card.sources if starting_card else ()
    return (*sources, *(source for source in inherited if source.sha256 not in digests))


def _training_key(spec: ExpertSpec, preparation: _Preparation) -> str:
    """The name of the folder of checkpoints: a hash of all that the training depends on, apart from its name."""
    starting_expert = preparation.starting_expert
    dependencies = [
        preparation.base_checksum,
        asdict(spec.training),
        asdict(spec.prompt_variation),
        asdict(load_template(TEMPLATE)),
        PARAPHRASES_FILE.read_text("utf-8"),
        preparation.corpus.digests(),
        *([starting_expert.card.files[peft_folder.WEIGHTS_FILE]] if starting_expert else []),
    ]
    return hashlib.sha256(json.dumps(dependencies).encode()).hexdigest()[:32]
