"""Settings into an ensemble: members, encoder, pool and pipeline."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path

from entsemble import __version__
from entsemble.assembly import training_sentences as teaching
from entsemble.assembly.model_pool import ModelPool, ProgressCallbacks, member_name
from entsemble.assembly.stacking import TrainingQuestion, learnt
from entsemble.backends.model_spec import parse_model
from entsemble.backends.spacy_pos import pos_tagger_for
from entsemble.data.annotated import has_nested_mentions, read_annotated
from entsemble.data.windows import sentence_splitter, split_document
from entsemble.errors import ConfigError, DataError
from entsemble.execution.ray import RayCluster
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import LocalExtractor, RayExtractor
from entsemble.ner.decision import DecisionRules
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.stages.retrieve import DemonstrationLimits, pre_extract
from entsemble.pool.capitalised import CapitalisedProposer
from entsemble.pool.gazetteer import Gazetteer
from entsemble.pool.leakage import LeakageGuard, text_keys
from entsemble.pool.naive_bayes import NaiveBayesProposer
from entsemble.pool.neighbours import NeighbourIndex
from entsemble.pool.word_counts import WordStatistics
from entsemble.prompting.labels import label_set
from entsemble.prompting.template import load_template
from entsemble.protocols import Encoder
from entsemble.retrieval.embedding_cache import CachedEncoder, PoolCache, cached_spans
from entsemble.retrieval.index import PoolIndex, encode_pool
from entsemble.retrieval.label_guided import LabelGuidedIndex
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.scoring.features import FeatureExtractor
from entsemble.scoring.fit import CACHE_VERSION
from entsemble.scoring.model import StackingModel
from entsemble.scoring.pretrained import load_pretrained
from entsemble.scoring.scorer import Scorer
from entsemble.settings import Environment, MemberSettings, Settings, environment
from entsemble.types import Document, LabelSet
from entsemble.voting.candidates import Proposer
from entsemble.voting.rules import voting_rule

ZERO_SHOT = "zero-shot-1"

_SHORT = 80
"""Characters of a demonstration that are always paid for, however short the sentences of a pool are."""

_SHAPES_NOTHING = frozenset({"workers", "threads", "cache", "ray", "stacking"})
"""Settings that results do not depend on, or not directly."""

_PARTS = 5
"""Stretches of a pool, in its order: a sentence that teaches is answered without its own, since the sentences of a
document follow one another in a file."""


class Assembly:
    """Builds what a run needs, each model once, and closes it at the end.

    Use it in a `with` statement.

    Args:
        settings: what the user asked for.
        environment: where things are kept.
        progress: told about downloads and preparations.
        models: loaded already, for the same members; closed by whoever loaded them.
        examples: annotated documents, instead of the pool's file.
        held_out: documents to be scored: never trained on, even if the pool contains them.
        weights: learnt before, with these members and labels; nothing is learnt then.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Environment,
        progress: ProgressCallbacks | None = None,
        *,
        models: ModelPool | None = None,
        examples: Sequence[Document] | None = None,
        held_out: Sequence[Document] = (),
        weights: StackingModel | None = None,
    ) -> None:
        self.settings, self.environment, self.progress = settings, environment, progress or ProgressCallbacks()
        self.models = models or ModelPool(settings, environment, self.progress)
        self._own_models, self._examples, self._held_out, self._weights = models is None, examples, held_out, weights

    def __enter__(self) -> Assembly:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the models' memory, unless they are shared."""
        if self._own_models:
            self.models.close()

    def extractor(self) -> LocalExtractor:
        """The ensemble as configured.

        Raises:
            ConfigError: what was asked cannot be right.
            DataError: the pool cannot be read, or names labels that were not asked for.
            ModelError: a model cannot be had.
        """
        rules = self._rules()
        documents = self.pool_documents()
        rules = replace(rules, demonstration_limits=self.demonstration_limits(documents))
        labels = self.labels(documents)
        members = self.members()
        pipeline = self._pipeline(documents, labels, members, rules)
        configuration = self._configuration(pipeline)
        if stacking := self._stacking(pipeline, documents, configuration):
            capitalised = [CapitalisedProposer()] if stacking.model.proposes_capitalised else []
            pipeline = pipeline.with_scorer(stacking, [*pipeline.proposers, *capitalised])
            configuration["what was learnt"] = hashlib.sha256(stacking.model.to_json().encode()).hexdigest()
        mapper = LocalMapper(self.models.worker_count())
        return LocalExtractor(pipeline, mapper, self.settings.language, configuration)

    def _pipeline(
        self,
        documents: Sequence[Document],
        labels: LabelSet,
        members: Sequence[Member],
        rules: DecisionRules,
        *,
        capitalised: bool = False,
    ) -> Pipeline:
        """The members with these documents as their pool."""
        index = self.pool_index(documents, labels, members) if documents else None
        half = self.settings.pool.gazetteer
        proposers: list[Proposer] = []
        if documents and half:
            proposers.append(Gazetteer(documents, labels, half, self._splitter()))
        if documents and self.settings.stacking.naive_bayes and self._judged_by_learning():
            proposers.append(NaiveBayesProposer(WordStatistics(documents, labels, self._splitter())))
        if capitalised:
            proposers.append(CapitalisedProposer())
        return Pipeline(members, labels, index, rules, proposers)

    def _judged_by_learning(self) -> bool:
        """Whether what was learnt decides where there is a pool, and not a vote."""
        return self._weights is not None or teaching.judges(self.settings)

    def trains_on_pool(self, documents: Sequence[Document]) -> bool:
        """Whether some of a pool's sentences are answered to learn from them."""
        return teaching.teaches(self.settings, documents)

    def _stacking(
        self, pipeline: Pipeline, documents: Sequence[Document], configuration: Mapping[str, str]
    ) -> Scorer | None:
        """What is known about the votes: what the pool teaches, or taught before, or else what other corpora did."""
        if not documents or not self._judged_by_learning():
            return None
        looked = teaching.looks_propose(self.settings, documents)
        evidence = self.feature_extractor(pipeline, documents)
        prior = load_pretrained().for_features(evidence.feature_names, proposes_capitalised=looked)
        if self._weights or not self.trains_on_pool(documents):
            return Scorer(evidence, self._weights or prior)
        apart = text_keys(self._held_out, self._splitter())
        order = teaching.in_order(self.settings, documents)
        others = [i for i in order if apart.isdisjoint(text_keys([documents[i]], self._splitter()))]
        drawn = others[: teaching.enough(self.settings, documents)]
        if not drawn:
            return Scorer(evidence, prior)
        shapes = [configuration, prior.to_json(), [documents[i].text for i in drawn]]
        known = hashlib.sha256(json.dumps(shapes, sort_keys=True).encode())
        weights = learnt(
            partial(self.training_questions, pipeline, documents, drawn, looked=looked),
            pipeline.labels,
            prior,
            LocalMapper(self.models.worker_count()),
            kept=(self._store(), f"{CACHE_VERSION}:{known.hexdigest()}"),
            anew=not self.settings.cache.replies,
            progress=self.progress,
        )
        return Scorer(evidence, weights)

    def training_questions(
        self, pipeline: Pipeline, documents: Sequence[Document], drawn: Sequence[int], *, looked: bool
    ) -> list[TrainingQuestion]:
        """Sentences of the pool by their numbers, each with the ensemble whose pool lacks that sentence's stretch."""
        part = [i * _PARTS // len(documents) for i in range(len(documents))]
        apart = {}
        for own in {part[i] for i in drawn}:
            rest = [d for d, other in zip(documents, part, strict=True) if other != own]
            answers = self._pipeline(rest, pipeline.labels, pipeline.members, pipeline.rules, capitalised=looked)
            apart[own] = answers, self.feature_extractor(answers, rest)
        return [TrainingQuestion(documents[i], *apart[part[i]]) for i in drawn]

    def feature_extractor(self, pipeline: Pipeline, documents: Sequence[Document]) -> FeatureExtractor:
        """What a pool of these documents knows of a candidate of that pipeline."""
        members, labels = [m.name for m in pipeline.members], pipeline.labels
        gazetteer = next((p for p in pipeline.proposers if isinstance(p, Gazetteer)), None)
        naive_bayes = next((p for p in pipeline.proposers if isinstance(p, NaiveBayesProposer)), None)
        words = naive_bayes.words if naive_bayes else WordStatistics(documents, labels, self._splitter())
        return FeatureExtractor(members, labels, gazetteer, self.neighbours(documents, labels), words)

    def _splitter(self) -> Callable[[str], list[str]]:
        return sentence_splitter(self.settings.language)

    def neighbours(self, documents: Sequence[Document], labels: LabelSet) -> NeighbourIndex:
        """The names of a pool, ready to be compared with."""
        names = CachedEncoder(
            self.encoder(),
            self._store(),
            lambda done, total: self.progress.on_step("encoding the pool's names", done, total),
        )
        return NeighbourIndex(documents, labels, names, self.encoder(), self._splitter())

    def ray_extractor(self) -> RayExtractor:
        """The same ensemble on a Ray cluster; see `extractor`. What pool and models need is prepared here first."""
        asked = self.settings.ray
        threads = self.settings.threads or max(1, int(asked.cpus) // max(1, len(self.settings.members)))
        settings = with_absolute_paths(self.settings).model_copy(update={"threads": threads})
        with Assembly(settings, self.environment, self.progress) as here:
            made = here.extractor()
        stacking, learnt_here = made.pipeline.scorer, settings.without_training()
        build = partial(_on_actor, learnt_here, stacking.model if stacking else None)
        cluster = RayCluster(asked.actors, asked.cpus, asked.gpus, asked.batch_size, asked.address)
        cluster.connect()  # before anybody else looks after signals
        return RayExtractor(build, cluster, made.configuration)

    def pool_documents(self) -> list[Document]:
        """The pool in sentences; empty where there is no pool.

        Raises:
            DataError: it cannot be read, or is empty.
        """
        path = self.settings.pool.path
        if self._examples is not None:
            return [part for d in self._examples for part in split_document(d, language=self.settings.language)]
        if path is None:
            return []
        return read_annotated(path, self.settings.language, "a pool needs sentences with mentions to show")

    def labels(self, pool: Sequence[Document]) -> LabelSet:
        """The label set asked for, or, where none was, the pool's own.

        Raises:
            ConfigError: neither labels nor a pool.
            DataError: the pool holds labels that were not asked for.
        """
        found = Counter(m.label for d in pool for m in d.mentions)
        asked = self.settings.labels or dict.fromkeys(sorted(found), "")
        if not asked:
            raise ConfigError(
                'no labels: name them with --labels "person,organisation", or give a --pool that has some'
            )
        unknown = sorted(found.keys() - asked.keys())
        if unknown:
            counts = ", ".join(f"{name} ({found[name]} mentions)" for name in unknown)
            raise DataError(
                f"labels that were not asked for: {counts}; ask for them too, or take them out of the pool",
                self.settings.pool.path,
            )
        nested = self.settings.nested
        try:
            return label_set(asked, nested=any(map(has_nested_mentions, pool)) if nested is None else nested)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def members(self) -> list[Member]:
        """The members, their models loaded; two members with one model share it."""
        if not self.settings.members:
            raise ConfigError("no members: an ensemble needs at least one [[members]] table or --model")
        made = [self._member(m) for m in self.settings.members]
        names = [m.name for m in made]
        taken = {
            Gazetteer.name: "as the pool's own voice is",
            CapitalisedProposer.name: "as what looks like a name is",
            NaiveBayesProposer.name: "as what is worded like one is",
        }
        for name, whose in taken.items():
            if name in names:
                raise ConfigError(f"no member can be called {name!r}, {whose}; give it another `name`")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"two members are called {twice[0]!r}; give each a `name` of its own")
        return made

    def encoder(self) -> Encoder:
        """The encoder of retrieval and of domains."""
        return self.models.encoder()

    def pool_index(self, documents: Sequence[Document], labels: LabelSet, members: Sequence[Member]) -> PoolIndex:
        """The pool, ready to be searched. Goes on where an earlier preparation of the same pool stopped."""
        pool = self.settings.pool
        store = self._store()
        if pool.spans == "members" and pool.similarity == "span":
            spans = self._pre_extracted(documents, labels, members, store)
        else:
            spans = [tuple(m.text for m in d.mentions) for d in documents]
        prepared = CachedEncoder(
            self.encoder(), store, lambda done, total: self.progress.on_step("encoding the pool", done, total)
        )
        return PoolIndex(
            documents,
            encode_pool(documents, spans, prepared),
            encoder=self.encoder(),
            pos_tagger=pos_tagger_for(self.settings.language) if pool.similarity == "span" else HeuristicPosTagger(),
            similarity=pool.similarity,
            seed=self.settings.seed,
            label_guided=LabelGuidedIndex(documents, prepared, self.encoder())
            if pool.similarity == "label-guided"
            else None,
            find_leaking=LeakageGuard(documents, self._splitter()).leaking_indices,
        )

    def _store(self) -> PoolCache:
        return PoolCache(self.environment.cache / "pools.sqlite")

    def _pre_extracted(
        self, documents: Sequence[Document], labels: LabelSet, members: Sequence[Member], store: PoolCache
    ) -> list[tuple[str, ...]]:
        told = [m.model.fingerprint for m in members] + [ZERO_SHOT] + [f"{x.readable}\0{x.definition}" for x in labels]
        owner = "spans:" + hashlib.sha256("\0\0".join(told).encode()).hexdigest()
        known = cached_spans(
            owner,
            [d.text for d in documents],
            lambda text: pre_extract(text, members, labels)[0],
            store,
            lambda done, total: self.progress.on_step("pre-extracting the pool's spans", done, total),
        )
        return [known[d.text] for d in documents]

    def demonstration_limits(self, pool: Sequence[Document]) -> DemonstrationLimits:
        """How many demonstrations a sentence is shown: where nothing else is asked, `shots` of the pool's mean length.

        Less leaves out the most similar ones where the pool's sentences are long.
        """
        asked = self.settings.pool
        usual = sum(len(d.text) for d in pool) / len(pool) if pool else 0
        characters = asked.max_characters or max(1, round(asked.shots * max(_SHORT, usual)))
        return DemonstrationLimits(asked.shots, characters, asked.max_empty_share)

    def _configuration(self, pipeline: Pipeline) -> dict[str, str]:
        """All that shapes the results, by names that a user knows; what was learnt comes to it once that is known."""
        told = self.settings.model_dump(mode="json", exclude={"members", "pool", *_SHAPES_NOTHING})
        told["pool"] = self.settings.pool.model_dump(mode="json", exclude={"path"})
        told["labels"] = [[x.name, x.readable, x.definition] for x in pipeline.labels] + [pipeline.labels.nested]
        told["members"] = [m.name for m in pipeline.members]
        told["words propose"] = any(isinstance(p, NaiveBayesProposer) for p in pipeline.proposers)
        told["entsemble"] = __version__
        if pipeline.pool is not None:
            shown = ((d.text, [(m.start, m.end, m.label) for m in d.mentions]) for d in pipeline.pool.documents)
            told["pool's sentences"] = list(shown)
            told["encoder"] = self.encoder().fingerprint
            told["tagger"] = pipeline.pool.pos_tagger.name if pipeline.pool.similarity == "span" else ""
        for m in pipeline.members:
            shape = [astuple(m.template), astuple(m.zero_shot), m.weight, sorted(m.bias.items()), m.shots]
            told[f"member {m.name}"] = [m.model.fingerprint, *shape]
        return {name: hashlib.sha256(json.dumps(value).encode()).hexdigest() for name, value in told.items()}

    def _rules(self) -> DecisionRules:
        verification = self.settings.verification
        names = [member_name(m) for m in self.settings.members]
        if verification.member and verification.member not in names:
            raise ConfigError(
                f"[verification] member {verification.member!r} is no member; members: {', '.join(names)}"
            )
        return DecisionRules(
            voting_rule=voting_rule(self.settings.classification.vote or "soft"),
            threshold=self.settings.classification.threshold,
            verifier=verification.member or None,
            verifier_threshold=verification.threshold,
            demonstration_limits=self.demonstration_limits(()),
            skip_larger_above=self.settings.classification.skip_larger_above,
            skip_verification_above=verification.skip_verification_above,
            quorum=self.settings.quorum,
        )

    def _member(self, member: MemberSettings) -> Member:
        name = member_name(member)
        model = self.models.language_model(member)
        asked, first = load_template(member.template), load_template(ZERO_SHOT)
        return Member(name, model, asked, first, member.weight, member.bias, member.shots)


def _on_actor(settings: Settings, weights: StackingModel | None) -> LocalExtractor:
    """An ensemble for as long as the process lives, kept in the places of the machine that it runs on."""
    return Assembly(settings, environment(), weights=weights).extractor()


def with_absolute_paths(settings: Settings) -> Settings:
    """The same settings where the working folder is another."""
    path = settings.pool.path and settings.pool.path.resolve()
    sources = [parse_model(m.model).source for m in settings.members]
    members = tuple(
        m.model_copy(update={"model": str(source.resolve())}) if isinstance(source, Path) else m
        for m, source in zip(settings.members, sources, strict=True)
    )
    pool = settings.pool.model_copy(update={"path": path})
    model = Path(settings.encoder.model)
    encoder = settings.encoder.model_copy(update={"model": str(model.resolve())} if model.is_dir() else {})
    return settings.model_copy(update={"pool": pool, "members": members, "encoder": encoder})


def select_members(settings: Settings, models: Sequence[str]) -> Settings:
    """`settings` with exactly these models as members."""
    known = {name: m for m in settings.members for name in (m.model, m.name)}
    members = tuple(known.get(name) or MemberSettings(model=name) for name in models)
    names = set(map(member_name, members))
    verification = settings.verification
    if verification.member not in names:
        verification = verification.model_copy(update={"member": ""})
    return settings.model_copy(update={"members": members, "verification": verification})
