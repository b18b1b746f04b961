"""The pool of annotated examples: read, split into sentences, and made searchable."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.backends.spacy_pos import pos_tagger_for
from entsemble.data.annotated import has_nested_mentions, read_annotated
from entsemble.data.windows import sentence_splitter, split_document
from entsemble.errors import ConfigError, DataError
from entsemble.execution.threads import LocalMapper
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.stages.retrieve import DemonstrationLimits, pre_extract
from entsemble.pool.gazetteer import Gazetteer
from entsemble.pool.leakage import LeakageGuard
from entsemble.pool.naive_bayes import NaiveBayesProposer
from entsemble.pool.neighbours import NeighbourIndex
from entsemble.pool.word_counts import WordStatistics
from entsemble.prompting.labels import label_set
from entsemble.retrieval.embedding_cache import CachedEncoder, PoolCache, cached_spans
from entsemble.retrieval.index import PoolIndex, encode_pool
from entsemble.retrieval.label_guided import LabelGuidedIndex
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.scoring.features import FeatureExtractor
from entsemble.settings import Environment, Settings
from entsemble.types import Document, LabelSet
from entsemble.voices.span_voice import SpanVoice

ZERO_SHOT = "zero-shot-1"
"""The template for questions without demonstrations."""

_MIN_MEAN_CHARACTERS = 80
"""A demonstration may be so long on average, however short the pool's sentences are."""


def pool_cache(environment: Environment) -> PoolCache:
    """The file of vectors, spans and trained models."""
    return PoolCache(environment.cache / "pools.sqlite")


class ExamplePool:
    """The examples of an ensemble, and what is computed from them. Vectors and spans are cached on disk.

    Args:
        models: the encoder, and where the cache is.
        examples: annotated documents, instead of the pool's file.
        settings: of the ensemble.
        progress: called as the pool is prepared.
    """

    def __init__(
        self,
        models: ModelPool,
        examples: Sequence[Document] | None,
        settings: Settings,
        progress: ProgressCallbacks,
    ) -> None:
        self._models, self._examples, self._settings, self._progress = models, examples, settings, progress

    @property
    def cache(self) -> PoolCache:
        """The file of vectors, spans and trained models."""
        return pool_cache(self._models.environment)

    @property
    def splitter(self) -> Callable[[str], list[str]]:
        """Splits a text into sentences."""
        return sentence_splitter(self._settings.language)

    def documents(self) -> list[Document]:
        """The pool in sentences; empty if there is no pool.

        Raises:
            DataError: it cannot be read, or holds no mention.
        """
        path, pool_format, language = self._settings.pool.path, self._settings.pool.format, self._settings.language
        if self._examples is not None:
            return [window for document in self._examples for window in split_document(document, language=language)]
        if path is None:
            return []
        return read_annotated(path, pool_format, language, "a pool needs sentences with mentions to show")

    def labels(self, documents: Sequence[Document]) -> LabelSet:
        """The labels of the settings, or else of the pool.

        Raises:
            ConfigError: neither has labels, or they are not valid.
            DataError: the pool has labels that the settings lack.
        """
        counts = Counter(mention.label for document in documents for mention in document.mentions)
        definitions = self._settings.labels or dict.fromkeys(sorted(counts), "")
        if not definitions:
            raise ConfigError(
                'no labels: say what to find, as in --labels "person,organisation,location", or give a --pool of '
                "annotated sentences"
            )
        unrequested = sorted(counts.keys() - definitions.keys())
        if unrequested:
            listed = ", ".join(f"{name} ({counts[name]} mentions)" for name in unrequested)
            raise DataError(
                f"the pool has labels that are not requested: {listed}; request them too, or remove them from the pool",
                self._settings.pool.path,
            )
        nested = self._settings.nested
        if nested is None:
            nested = any(map(has_nested_mentions, documents))
        try:
            return label_set(definitions, nested=nested)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def leakage_guard(self, documents: Sequence[Document]) -> LeakageGuard:
        """The sentences of a pool, and which of them a text must not use; build it once for all that needs it."""
        return LeakageGuard(documents, self.splitter)

    def index(self, leakage_guard: LeakageGuard, labels: LabelSet, members: Sequence[Member]) -> PoolIndex:
        """The sentences, ready to be searched. What an earlier, interrupted call computed is used.

        Args:
            leakage_guard: of the pool's sentences.
            labels: those asked for.
            members: they pre-extract spans, if the settings say so; otherwise unused.
        """
        settings, encoder, documents = self._settings, self._models.encoder(), leakage_guard.documents
        similarity = settings.pool.similarity
        if settings.pool.spans == "members" and similarity == "span":
            spans = self._pre_extracted_spans(documents, labels, members)
        else:
            spans = [tuple(mention.text for mention in document.mentions) for document in documents]
        cached_encoder = self._cached_encoder("encoding the pool")
        is_label_guided = similarity == "label-guided"
        return PoolIndex(
            documents,
            encode_pool(documents, spans, cached_encoder),
            encoder=encoder,
            pos_tagger=pos_tagger_for(settings.language) if similarity == "span" else HeuristicPosTagger(),
            similarity=similarity,
            seed=settings.seed,
            label_guided=LabelGuidedIndex(documents, cached_encoder, encoder) if is_label_guided else None,
            find_leaking=leakage_guard.leaking_indices,
        )

    def neighbours(self, leakage_guard: LeakageGuard, labels: LabelSet) -> NeighbourIndex:
        """The names in the sentences, for comparison by their vectors."""
        cached_encoder = self._cached_encoder("encoding the pool's names")
        return NeighbourIndex(leakage_guard, labels, cached_encoder, self._models.encoder())

    def feature_extractor(self, pipeline: Pipeline, leakage_guard: LeakageGuard) -> FeatureExtractor:
        """Computes the features of a pipeline's candidates.

        Args:
            pipeline: its proposers are used, if they are built from the pool.
            leakage_guard: of the sentences of the pipeline's pool.
        """
        labels = pipeline.labels
        gazetteer = next((p for p in pipeline.proposers if isinstance(p, Gazetteer)), None)
        naive_bayes = next((p for p in pipeline.proposers if isinstance(p, NaiveBayesProposer)), None)
        words = naive_bayes.words if naive_bayes else WordStatistics(leakage_guard, labels)
        member_names = [member.name for member in pipeline.members]
        voices = [proposer for proposer in pipeline.proposers if isinstance(proposer, SpanVoice)]
        voices_first = pipeline.rules.effort is not None
        with_neighbours = pipeline.members and not voices_first  # no gain beside voices
        neighbours = self.neighbours(leakage_guard, labels) if with_neighbours else None
        return FeatureExtractor(member_names, labels, gazetteer, neighbours, words, voices, voices_first=voices_first)

    def demonstration_limits(self, documents: Sequence[Document]) -> DemonstrationLimits:
        """How many demonstrations a sentence gets, and how long they may be together.

        By default `shots` times the mean length of the pool's sentences: less would leave out the most similar ones
        where sentences are long.
        """
        pool = self._settings.pool
        mean_characters = sum(len(document.text) for document in documents) / len(documents) if documents else 0
        default = max(1, round(pool.shots * max(_MIN_MEAN_CHARACTERS, mean_characters)))
        return DemonstrationLimits(pool.shots, pool.max_characters or default, pool.max_empty_share)

    def _cached_encoder(self, step: str) -> CachedEncoder:
        on_step = partial(self._progress.on_step, step)
        return CachedEncoder(self._models.encoder(), self.cache, on_step)

    def _pre_extracted_spans(
        self, documents: Sequence[Document], labels: LabelSet, members: Sequence[Member]
    ) -> list[tuple[str, ...]]:
        """For each sentence, the spans that the members find in it without demonstrations."""
        dependencies = [member.model.fingerprint for member in members] + [ZERO_SHOT]
        dependencies += [f"{label.readable}\0{label.definition}" for label in labels]
        cached = cached_spans(
            "spans:" + hashlib.sha256("\0\0".join(dependencies).encode()).hexdigest(),
            [document.text for document in documents],
            lambda text: pre_extract(text, members, labels)[0],
            self.cache,
            LocalMapper(self._models.worker_count()),
            partial(self._progress.on_step, "pre-extracting the pool's spans"),
        )
        return [cached[document.text] for document in documents]
