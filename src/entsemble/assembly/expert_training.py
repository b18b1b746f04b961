"""How an expert is trained: from annotated files to a card in the store."""

from __future__ import annotations

import hashlib
import json
import platform
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from entsemble._lib.text import same_text_key
from entsemble.assembly.builder import Assembly
from entsemble.assembly.expert_files import expert_store, unpacked_folder
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.zero_shot import score_extractor, zero_shot_extractor
from entsemble.backends.gguf.lora import adapter_architecture, write_lora
from entsemble.backends.llamacpp.model import EngineOptions, LlamaCppModel
from entsemble.backends.model_spec import parse_model
from entsemble.backends.transformers.loader import load_model
from entsemble.backends.transformers.model import TransformersModel
from entsemble.data.annotated import read_annotated
from entsemble.errors import ConfigError, DataError
from entsemble.experts import peft_folder
from entsemble.experts.card import (
    NAME_PATTERN,
    NAME_RULE,
    Card,
    DomainVectors,
    Score,
    Source,
    StartingExpert,
    combine_licences,
)
from entsemble.experts.examples import PARAPHRASES_FILE, PromptVariation, TextPiece, label_vocabulary, training_example
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.selection import cluster_centres
from entsemble.experts.store import Expert, ExpertStore, load_checked_adapter
from entsemble.experts.training import TrainingProgress, TrainingSettings, attach_lora, extract_adapter, train
from entsemble.prompting.labels import label_set
from entsemble.prompting.template import load_template
from entsemble.protocols import AdaptableModel
from entsemble.settings import Environment, MemberSettings, Settings
from entsemble.types import AdapterSum, Document, LabelSet

TEMPLATE = "ner-1"
"""The prompt shape that experts are trained on."""

_DEV_SHARE, _DEV_MOST = 0.1, 100
"""Of the sentences, what is held back to choose the best epoch by."""

_ENCODED = 1000
"""Training sentences at most that say where a domain lies."""

_LANGUAGE = Settings().language

_VERSIONS = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """An annotated file; its licence, and whom that asks to name."""

    path: Path
    licence: str = "unknown"
    attribution: str = ""


@dataclass(frozen=True, slots=True)
class ExpertSpec:
    """What an expert is to be.

    Attributes:
        name: in the store.
        data: what is learnt.
        base: a model of the catalogue, a `.gguf` file, or a folder as transformers writes it.
        domain: what the texts are about.
        licence: of the expert.
        dev: annotated file to choose the best epoch by; a part of the data if not given.
        limit: training sentences at most, drawn with the seed.
        how: settings of the training.
        asking: how sentences are asked.
        start: the name of an expert of the same base whose training this one goes on from.
        foundation: whether others are to start from it; see `Card`.
        replace: take the place of an expert of that name.
    """

    name: str
    data: tuple[TrainingData, ...]
    base: str = "smollm2-135m"
    domain: str = ""
    licence: str = "unknown"
    dev: Path | None = None
    limit: int | None = None
    how: TrainingSettings = field(default_factory=TrainingSettings)
    asking: PromptVariation = field(default_factory=PromptVariation)
    start: str | None = None
    foundation: bool = False
    replace: bool = False


def train_expert(
    brief: ExpertSpec,
    environment: Environment,
    progress: ProgressCallbacks | None = None,
    told: Callable[[TrainingProgress], None] = lambda _: None,
) -> Expert:
    """Train an expert and keep it. The same brief again goes on with a training that was stopped.

    Raises:
        ConfigError: a name that is taken, a base that cannot be trained, or a start that does not fit.
        DataError: the data cannot be read, or holds no mention.
        MissingExtraError: the extra `experts` is not installed.
        ModelError: the base cannot be had.
        UnknownNameError: there is no such expert to start from.
    """
    store = expert_store(environment)
    _check(brief, store)
    start = store.get(brief.start) if brief.start is not None else None
    parts = [_sentences(d.path) for d in brief.data]
    learnt, dev = _split(parts, brief)
    with Assembly(Settings(), environment, progress) as assembly:
        path, fingerprint = assembly.models.files.locate(parse_model(brief.base))
        if path.is_file():
            adapter_architecture(path)
        encoder = assembly.encoder()  # what can go wrong goes wrong before hours of training
        published = assembly.models.base_checksum(MemberSettings(model=brief.base))
        if start is not None and (start.card.base_sha256, start.card.template) != (published, TEMPLATE):
            raise ConfigError(
                f"{start.card.name} cannot be started from: it changes {start.card.base}, not {brief.base}"
            )
        folder = environment.cache / "training" / _key(brief, published, learnt, dev, start)
        unpacked = unpacked_folder(fingerprint, environment)
        model, tokenize = load_model(path, brief.how.precision, unpacked_folder=unpacked)
        made = train(
            attach_lora(model, brief.how, None if start is None else load_checked_adapter(start)),
            tokenize,
            lambda epoch: _examples(learnt, brief, epoch),
            brief.how,
            folder,
            base=brief.base,
            evaluate=lambda tuned: score(extract_adapter(tuned, brief.base), dev, path).f1,
            told=told,
        )
        measured = score(peft_folder.load_adapter(made.folder), dev, path)
        drawn = random.Random(brief.how.seed).sample(learnt, min(len(learnt), _ENCODED))
        rows, counts = cluster_centres(encoder.encode([d.text for d, _ in drawn]), seed=brief.how.seed)
        vectors = DomainVectors(
            encoder=encoder.weights_fingerprint,
            rows=tuple(tuple(round(float(x), 5) for x in row) for row in rows),
            sentences=counts,
        )
    known = set(start.card.labels) if start else set()
    own = [_source(d, part) for d, part in zip(brief.data, parts, strict=True)]
    card = Card(
        name=brief.name,
        domain=brief.domain,
        base=brief.base,
        base_sha256=published,
        template=TEMPLATE,
        labels=tuple(sorted({m.label for d, _ in learnt for m in d.mentions} | known)),
        sources=_sources(own, start),
        licence=combine_licences([brief.licence, *([start.card.licence] if start else [])]),
        vectors=vectors,
        scores=(measured,),
        seed=brief.how.seed,
        precision=brief.how.precision,
        training={**_numbers(asdict(brief.how)), "best epoch": made.epoch + 1, "loss": made.loss},
        versions={"python": platform.python_version(), **{name: metadata.version(name) for name in _VERSIONS}},
        foundation=brief.foundation,
        start=None
        if start is None
        else StartingExpert(expert=start.card.name, sha256=start.card.files[peft_folder.WEIGHTS_FILE]),
    )
    kept = store.add(made.folder, card, replace=brief.replace)
    shutil.rmtree(folder, ignore_errors=True)
    return kept


def score(adapted: Adapter, dev: Sequence[Document], base: Path) -> Score:
    """How well an expert does on annotated sentences, asked for their labels, through the engine that users have.

    Args:
        adapted: the expert.
        dev: annotated sentences.
        base: the GGUF file, or the folder of a model of transformers, that it changes.
    """
    labels = _labels(dev)
    with _engine(adapted, base) as model:
        return score_extractor(zero_shot_extractor(model, labels, TEMPLATE, _LANGUAGE), dev, "held back")


def _labels(documents: Sequence[Document], file: Path | None = None) -> LabelSet:
    """The labels of annotated sentences.

    Raises:
        DataError: one of them cannot be asked for.
    """
    try:
        return label_set(dict.fromkeys(sorted({m.label for d in documents for m in d.mentions}), ""))
    except ValueError as error:
        raise DataError(str(error), file) from error


@contextmanager
def _engine(adapted: Adapter, base: Path) -> Iterator[AdaptableModel]:
    """The base as users have it, the adapter applied."""
    with tempfile.TemporaryDirectory() as folder:
        if base.is_dir():
            place = Path(folder)
            peft_folder.save_adapter(adapted, place)
            with closing(TransformersModel("base", base, fingerprint="", adapters={"expert": place})) as plain:
                yield plain.with_adapters("expert", AdapterSum({"expert": 1.0}, "expert"))
        else:
            file = Path(folder) / "adapter.gguf"
            write_lora(adapted.factor_pairs, base, file)
            engine = EngineOptions(adapters={"expert": file})
            with closing(LlamaCppModel("base", base, fingerprint="", options=engine)) as model:
                yield model.with_adapters("expert", AdapterSum({"expert": 1.0}, "expert"))


def _sentences(path: Path) -> list[Document]:
    found = read_annotated(path, _LANGUAGE, "an expert learns from annotated sentences")
    return [d for d in found if d.text.strip()]


Learnt = tuple[Document, tuple[str, ...]]
"""A sentence, and the labels of the file that it is from."""


def _check(brief: ExpertSpec, store: ExpertStore) -> None:
    """What can be known before anything is loaded."""
    if not NAME_PATTERN.fullmatch(brief.name):
        raise ConfigError(f"{brief.name!r} is no name for an expert: {NAME_RULE}")
    if brief.name in store.names() and not brief.replace:
        raise ConfigError(f"there is an expert {brief.name!r} already; choose another name, or replace it")
    if brief.how.seed < 0 or not 0 < brief.how.learning_rate < 1:
        raise ConfigError("a seed is at least 0, and a learning rate between 0 and 1")


def _split(parts: Sequence[Sequence[Document]], brief: ExpertSpec) -> tuple[list[Learnt], list[Document]]:
    """What is learnt from, and what is held back; copies of a sentence are on one side."""
    draw = random.Random(brief.how.seed)
    labels = [tuple(sorted({m.label for d in part for m in d.mentions})) for part in parts]
    every = [(d, own) for part, own in zip(parts, labels, strict=True) for d in part]
    rest = draw.sample(every, len(every))
    if brief.dev is not None:
        held = _sentences(brief.dev)
        dev = draw.sample(held, min(len(held), _DEV_MOST))
    else:
        count = min(_DEV_MOST, max(1, round(_DEV_SHARE * len(rest))))
        dev, rest = [d for d, _ in rest[:count]], rest[count:]
    for data, part in zip(brief.data, parts, strict=True):
        _labels(part, data.path)
    held_back = {same_text_key(d.text) for d in dev}
    learnt = [(d, own) for d, own in rest if same_text_key(d.text) not in held_back][: brief.limit]
    scored = any(d.mentions for d in dev)
    if not scored and brief.dev is not None:
        raise DataError(f"none of {len(dev)} sentences drawn of it has a mention; give others", brief.dev)
    if not scored or not any(d.mentions for d, _ in learnt):
        raise DataError(
            "too few annotated sentences to learn from and to hold some back; give more", brief.data[0].path
        )
    _labels(dev, brief.dev or brief.data[0].path)
    return learnt, dev


def _examples(learnt: Sequence[Learnt], brief: ExpertSpec, epoch: int) -> list[tuple[TextPiece, ...]]:
    """Every sentence once, each drawn from the seed, the epoch and its place."""
    shape = load_template(TEMPLATE)
    vocabularies = {own: label_vocabulary(own) for _, own in learnt}
    return [
        training_example(d, vocabularies[own], shape, brief.asking, random.Random(f"{brief.how.seed}:{epoch}:{i}"))
        for i, (d, own) in enumerate(learnt)
    ]


def _key(brief: ExpertSpec, base: str, learnt: Sequence[Learnt], dev: Sequence[Document], start: Expert | None) -> str:
    """All that shapes a training but its name."""
    shape, words = asdict(load_template(TEMPLATE)), PARAPHRASES_FILE.read_text("utf-8")
    data = _content([d for d, _ in learnt]), [own for _, own in learnt], _content(dev)
    begun = [] if start is None else [start.card.files[peft_folder.WEIGHTS_FILE]]
    told = [base, asdict(brief.how), asdict(brief.asking), shape, words, data, *begun]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _content(documents: Sequence[Document]) -> str:
    shown = [(d.text, [(m.start, m.end, m.label) for m in d.mentions]) for d in documents]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _source(data: TrainingData, documents: Sequence[Document]) -> Source:
    return Source(
        name=data.path.name,
        sentences=len(documents),
        mentions=sum(len(d.mentions) for d in documents),
        licence=data.licence,
        attribution=data.attribution,
        sha256=_content(documents),
    )


def _sources(own: Sequence[Source], start: Expert | None) -> tuple[Source, ...]:
    """All data that is in an expert: its own, and what it did not read again of that it started from."""
    read = {source.sha256 for source in own}
    return (*own, *(source for source in (start.card.sources if start else ()) if source.sha256 not in read))


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items() if isinstance(value, int | float)}
