"""Settings into an ensemble: members, examples, pipeline and scorer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from entsemble.assembly.example_pool import ZERO_SHOT, ExamplePool
from entsemble.assembly.fingerprints import STACKING_WEIGHTS, result_fingerprints, weights_fingerprint
from entsemble.assembly.members import member_name, user_rules, with_absolute_paths
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.stacking import (
    TrainingSentence,
    TrainingSentences,
    asks_voices_first,
    fold_indices,
    fold_of,
    member_training_size,
    prior_model,
    proposes_capitalised,
    train_on_pool,
    training_order,
    training_size,
    trains_on_pool,
    uses_stacking,
)
from entsemble.assembly.voice_pool import VoicePool
from entsemble.assembly.voices import Voices, check_names, has_reader, load_parts, voice_name
from entsemble.backends.label_reader.model import describe_unclear_labels
from entsemble.errors import ConfigError
from entsemble.execution.ray import RayCluster
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import LocalExtractor, RayExtractor
from entsemble.ner.decision import DecisionRules, threshold_for_reader
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.pool.answers import PoolAnswers
from entsemble.pool.capitalised import CapitalisedProposer
from entsemble.pool.gazetteer import Gazetteer
from entsemble.pool.leakage import LeakageGuard, text_keys
from entsemble.pool.naive_bayes import NaiveBayesProposer
from entsemble.pool.word_counts import WordStatistics
from entsemble.prompting.template import load_template
from entsemble.protocols import Encoder
from entsemble.scoring.fit import CACHE_VERSION
from entsemble.scoring.model import StackingModel
from entsemble.scoring.scorer import Scorer
from entsemble.settings import Environment, MemberSettings, Settings, environment
from entsemble.types import Document, LabelSet
from entsemble.voices.span_voice import SpanVoice
from entsemble.voting.candidates import Proposer
from entsemble.voting.rules import voting_rule

_MIN_SCORED_PROBABILITY = 0.05
"""Probability from which on a voice proposes a span where a scorer decides; a lower one hardly ever is a mention."""

_PROPOSER_NAMES = {
    Gazetteer.name: "the pool's names",
    CapitalisedProposer.name: "capitalised spans",
    NaiveBayesProposer.name: "the naive Bayes proposer",
}
"""Proposers that need no model, by their names in votes and ledgers -> what they stand for."""


class Assembly:
    """Builds what a run needs, loads each model once, and closes them at the end of a `with` block.

    Args:
        settings: of the ensemble.
        environment: where models and caches are.
        progress: called as models are downloaded and the pool is prepared.
        models: loaded models of the same members to share; whoever loaded them closes them.
        examples: annotated documents, instead of the pool's file.
        held_out: documents to be scored: never trained on, even if the pool contains them.
        weights: trained before with the same members and labels; nothing is trained then.
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
        self._closes_models = models is None
        self.models = models or ModelPool(settings, environment, self.progress)
        self._examples, self._held_out, self._weights = examples, held_out, weights

    def __enter__(self) -> Assembly:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the models' memory, unless they are shared."""
        if self._closes_models:
            self.models.close()

    @property
    def pool(self) -> ExamplePool:
        """The examples, read with the settings as they are."""
        return ExamplePool(self.models, self._examples, self.settings, self.progress)

    def extractor(self) -> LocalExtractor:
        """The ensemble of the settings.

        Raises:
            ConfigError: settings that are not valid.
            DataError: the pool cannot be read, or has labels that are not requested.
            ModelError: a model cannot be loaded.
        """
        rules = self._decision_rules()  # first, so that invalid rules are reported before anything is loaded
        documents = self.pool.documents()
        rules = replace(rules, demonstration_limits=self.pool.demonstration_limits(documents))
        labels = self.pool.labels(documents)
        rules = replace(rules, user=user_rules(self.settings, labels))
        if not self.settings.members and has_reader(self.settings):
            rules = replace(rules, default_threshold=threshold_for_reader(len(labels.names)))
        leakage_guard = self.pool.leakage_guard(documents)
        members, voices = self.members(), self.voices(documents, labels, rules)
        held_out = self._held_out_indices(documents)
        pipeline = self._pipeline(leakage_guard, labels, members, rules, voices.train(held_out))
        encoder = self.encoder().fingerprint if documents and members else None
        fingerprints = result_fingerprints(self.settings, pipeline, documents, encoder)
        scorer = self._scorer(pipeline, leakage_guard, voices, fingerprints)
        if scorer:
            extra_proposers = [CapitalisedProposer()] if scorer.model.proposes_capitalised else []
            pipeline = pipeline.with_scorer(scorer, [*pipeline.proposers, *extra_proposers])
            fingerprints[STACKING_WEIGHTS] = weights_fingerprint(scorer.model.to_json())
        pipeline = pipeline.with_answers(PoolAnswers(leakage_guard, held_out))
        mapper = LocalMapper(self.models.worker_count())
        return LocalExtractor(pipeline, mapper, self.settings.language, fingerprints)

    def ray_extractor(self) -> RayExtractor:
        """The same ensemble on a Ray cluster; see `extractor`. Downloads and training happen here, before it starts."""
        options = self.settings.ray
        threads = self.settings.threads or max(1, int(options.cpus) // max(1, len(self.settings.members)))
        settings = with_absolute_paths(self.settings).model_copy(update={"threads": threads})
        with Assembly(settings, self.environment, self.progress) as local_assembly:
            local_extractor = local_assembly.extractor()
        scorer = local_extractor.pipeline.scorer
        build = partial(_build_on_actor, settings.without_training(), scorer.model if scorer else None)
        cluster = RayCluster(options.actors, options.cpus, options.gpus, options.batch_size, options.address)
        cluster.connect()  # before signal handlers are installed: Ray installs its own
        return RayExtractor(build, cluster, local_extractor.configuration)

    def encoder(self) -> Encoder:
        """The encoder of retrieval and of domains."""
        return self.models.encoder()

    def members(self) -> list[Member]:
        """The members with their models, which are loaded; members of one model share it.

        Raises:
            ConfigError: there is none, or a name is used twice or reserved.
            ModelError: a model cannot be loaded.
        """
        if not self.settings.members and not self.settings.all_voices:
            raise ConfigError("no members: an ensemble needs at least one [[members]] or [[voices]] table, or --model")
        members = [self._member(member) for member in self.settings.members]
        names = [member.name for member in members]
        check_names(self.settings.all_voices, _PROPOSER_NAMES)
        voice_names = {voice_name(voice): "a voice" for voice in self.settings.all_voices}
        for name, meaning in (_PROPOSER_NAMES | voice_names).items():
            if name in names:
                raise ConfigError(f"a member cannot be called {name!r}, which stands for {meaning}; set another `name`")
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ConfigError(f"two members are called {duplicates[0]!r}; give each its own `name`")
        return members

    def _member(self, member: MemberSettings) -> Member:
        model = self.models.language_model(member)
        template, zero_shot = load_template(member.template), load_template(ZERO_SHOT)
        return Member(member_name(member), model, template, zero_shot, member.weight, member.bias, member.shots)

    def _decision_rules(self) -> DecisionRules:
        classification, verification = self.settings.classification, self.settings.verification
        names = [member_name(member) for member in self.settings.members]
        if verification.member and verification.member not in names:
            raise ConfigError(
                f"[verification] member {verification.member!r} is not a member; members: {', '.join(names)}"
            )
        return DecisionRules(
            voting_rule=voting_rule(classification.vote or "soft"),
            threshold=classification.threshold,
            verifier=verification.member or None,
            verifier_threshold=verification.threshold,
            demonstration_limits=self.pool.demonstration_limits(()),
            skip_larger_above=classification.skip_larger_above,
            skip_verification_above=verification.skip_verification_above,
            quorum=self.settings.quorum,
            effort=self.settings.effort if asks_voices_first(self.settings) else None,
        )

    def _pipeline(
        self,
        leakage_guard: LeakageGuard,
        labels: LabelSet,
        members: Sequence[Member],
        rules: DecisionRules,
        voices: Sequence[SpanVoice],
        *,
        with_capitalised: bool = False,
    ) -> Pipeline:
        """The members and voices with these sentences as their pool, without a trained scorer."""
        settings, documents = self.settings, leakage_guard.documents
        pool_index = self.pool.index(leakage_guard, labels, members) if documents and members else None
        proposers: list[Proposer] = []
        if documents and settings.pool.gazetteer:
            proposers.append(Gazetteer(leakage_guard, labels, settings.pool.gazetteer))
        if settings.stacking.naive_bayes and self._uses_stacking(documents):
            proposers.append(NaiveBayesProposer(WordStatistics(leakage_guard, labels)))
        if with_capitalised:
            proposers.append(CapitalisedProposer())
        return Pipeline(members, labels, pool_index, rules, [*proposers, *voices])

    def voices(self, documents: Sequence[Document], labels: LabelSet, rules: DecisionRules) -> Voices:
        """The voices, which learn from the pool if there is one."""
        is_scored = self._uses_stacking(documents)
        lowest = min((rules.vote_threshold, *rules.user.thresholds.values()))
        minimum = _MIN_SCORED_PROBABILITY if is_scored else lowest / 2  # members may raise it
        pool = VoicePool(documents if is_scored else (), self.settings.seed, self.pool.cache, self.progress.on_step)
        parts = load_parts(self.settings.all_voices, self.models, labels, self.progress.on_warning)
        for advice in describe_unclear_labels(labels) if has_reader(self.settings) and not documents else ():
            self.progress.on_warning(advice)
        return Voices(
            parts,
            labels,
            pool,
            minimum=minimum,
            proposes_overlaps=is_scored,
            has_members=bool(self.settings.members),
        )

    def _held_out_indices(self, documents: Sequence[Document]) -> set[int]:
        """The pool's sentences that are to be scored, which no voice may learn from."""
        splitter = self.pool.splitter
        held_out = text_keys(self._held_out, splitter)
        return {
            index
            for index, document in enumerate(documents)
            if held_out and not held_out.isdisjoint(text_keys([document], splitter))
        }

    def _uses_stacking(self, documents: Sequence[Document]) -> bool:
        return bool(documents) and (self._weights is not None or uses_stacking(self.settings, documents))

    def trains_on_pool(self, documents: Sequence[Document]) -> bool:
        """Whether the scorer is trained on sentences of this pool."""
        return trains_on_pool(self.settings, documents)

    def _scorer(
        self, pipeline: Pipeline, leakage_guard: LeakageGuard, voices: Voices, fingerprints: Mapping[str, str]
    ) -> Scorer | None:
        """The scorer that decides instead of a vote: given, trained on the pool, or else pre-trained."""
        documents = leakage_guard.documents
        if not self._uses_stacking(documents):
            return None
        with_capitalised = proposes_capitalised(self.settings, documents)
        feature_extractor = self.pool.feature_extractor(pipeline, leakage_guard)
        pretrained = prior_model(self.settings, feature_extractor, with_capitalised=with_capitalised)
        if self._weights or not self.trains_on_pool(documents):
            return Scorer(feature_extractor, self._weights or pretrained)
        indices = self._training_indices(documents)
        if not indices:
            return Scorer(feature_extractor, pretrained)
        dependencies = [
            {name: value for name, value in fingerprints.items() if name != "rules"},  # they do not change the votes
            pretrained.to_json(),
            [documents[sentence_index].text for sentence_index in indices],
        ]
        digest = hashlib.sha256(json.dumps(dependencies, sort_keys=True).encode()).hexdigest()
        model = train_on_pool(
            self.training_sentences(pipeline, documents, indices, voices, with_capitalised=with_capitalised),
            pipeline.labels,
            pretrained,
            LocalMapper(self.models.worker_count()),
            cache=self.pool.cache,
            cache_key=f"{CACHE_VERSION}:{digest}",
            use_cached=self.settings.cache.replies,
            progress=self.progress,
        )
        return Scorer(feature_extractor, model)

    def _training_indices(self, documents: Sequence[Document]) -> list[int]:
        """The pool's sentences to train on: none that is held out."""
        held_out = self._held_out_indices(documents)
        indices = [index for index in training_order(self.settings, documents) if index not in held_out]
        return indices[: training_size(self.settings, documents)]

    def training_sentences(
        self,
        pipeline: Pipeline,
        documents: Sequence[Document],
        indices: Sequence[int],
        voices: Voices,
        *,
        with_capitalised: bool,
    ) -> TrainingSentences:
        """Sentences of the pool, each with an ensemble whose pool lacks the sentence's fold.

        Args:
            pipeline: its members, labels and rules are used.
            documents: the pool.
            indices: which of them to train on.
            voices: that learn from the pool, too.
            with_capitalised: whether capitalised spans are candidates.
        """
        whole_guard = self.pool.leakage_guard(documents)
        member_sentences = member_training_size(self.settings, documents)
        positions_by_fold: dict[int, list[int]] = {}
        for position, sentence_index in enumerate(indices):
            positions_by_fold.setdefault(fold_of(sentence_index, len(documents)), []).append(position)

        def iteratefold_of(held_out_fold: int) -> Iterator[TrainingSentence]:
            remaining = [
                document for index, document in enumerate(documents) if fold_of(index, len(documents)) != held_out_fold
            ]
            leakage_guard = self.pool.leakage_guard(remaining)
            without_fold = self._pipeline(
                leakage_guard,
                pipeline.labels,
                pipeline.members,
                pipeline.rules,
                voices.train(fold_indices(held_out_fold, whole_guard)),
                with_capitalised=with_capitalised,
            )
            features = self.pool.feature_extractor(without_fold, leakage_guard)
            whole = without_fold
            if asks_voices_first(self.settings):  # a scorer says what they leave open
                prior = prior_model(self.settings, features, with_capitalised=with_capitalised)
                whole = without_fold.with_scorer(Scorer(features, prior), without_fold.proposers)
            for position in positions_by_fold[held_out_fold]:
                ensemble = whole if position < member_sentences else whole.without_members()
                yield TrainingSentence(documents[indices[position]], ensemble, features, position)

        return TrainingSentences(
            len(indices), lambda: chain.from_iterable(iteratefold_of(fold) for fold in sorted(positions_by_fold))
        )


def _build_on_actor(settings: Settings, weights: StackingModel | None) -> LocalExtractor:
    """The ensemble of an actor, with the caches of its machine; it lives as long as the process."""
    return Assembly(settings, environment(), weights=weights).extractor()
