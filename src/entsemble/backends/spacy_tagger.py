"""The entities of a spaCy pipeline, with its own labels."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from entsemble._lib.optional import require
from entsemble.errors import ConfigError, ModelUnavailableError
from entsemble.types import ScoredSpan, Span

_PROBABILITY = 0.7
"""Of an entity without a score. spaCy's `ner` gives none: those of its beam search are too high and rank worse than its
greedy answer, on news and on tweets alike. `en_core_web_sm` has precision .78 on the first and .25 on the second."""

_UNUSED = frozenset({"tagger", "morphologizer", "parser", "senter", "attribute_ruler", "lemmatizer"})
"""Components that take time, and on which no trained component depends."""

_RULES = frozenset({"entity_ruler", "span_ruler"})
"""Components whose rules may read what those of `_UNUSED` write."""


def locate_pipeline(name: str) -> Path:
    """The folder of an installed pipeline, or of one on disk.

    Args:
        name: of a package, or a folder.

    Raises:
        MissingExtraError: spaCy is not installed.
        ModelUnavailableError: there is no such pipeline: says how to install one.
    """
    spacy: Any = require("spacy", "spacy", f"the voice spacy:{name}")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    installed = sorted(spacy.util.get_installed_models())
    if name not in installed:
        raise ModelUnavailableError(
            f"no spaCy pipeline {name!r} is installed; install it with: python -m spacy download {name} "
            f"(installed: {', '.join(installed) or 'none'}), or name a pipeline's folder"
        )
    return Path(spacy.util.get_package_path(name))


class SpacyTagger:
    """Tags what a pipeline writes to `doc.ents`, and with a score what it writes to span groups.

    Args:
        name: in messages.
        folder: see `locate_pipeline`.
        checksum: of the folder's files.

    Raises:
        ConfigError: no component of the pipeline finds entities.
        ModelUnavailableError: it cannot be loaded.
    """

    is_exhaustive = True

    def __init__(self, name: str, folder: Path, checksum: str) -> None:
        spacy: Any = require("spacy", "spacy", f"the voice spacy:{name}")
        try:
            # A package's folder holds the pipeline's in a folder with its version, which only `spacy.load` resolves.
            self._pipeline = spacy.util.load_model(_pipeline_folder(folder))
        except Exception as error:  # each component raises its own kinds
            raise ModelUnavailableError(f"cannot load the spaCy pipeline {folder}: {error}") from error
        self.name, self.fingerprint = name, f"spacy:{spacy.__version__}:{checksum}:{_PROBABILITY}"
        taggers = [name for name in self._pipeline.pipe_names if self._finds_entities(name)]
        self.labels = tuple(sorted({label for name in taggers for label in self._pipeline.pipe_labels.get(name, ())}))
        if not self.labels:
            raise ConfigError(f"the spaCy pipeline {folder} finds no entities; its components: {self._components()}")
        factories = {name: self._pipeline.get_pipe_meta(name).factory for name in self._pipeline.pipe_names}
        if _RULES.isdisjoint(factories.values()):
            self._pipeline.select_pipes(disable=[name for name, factory in factories.items() if factory in _UNUSED])
        self.parameters = sum(self._count_parameters())
        self._lock = threading.Lock()  # a pipeline's vocabulary is not for several threads

    def _finds_entities(self, component: str) -> bool:
        return any(value in {"doc.ents", "doc.spans"} for value in self._pipeline.get_pipe_meta(component).assigns)

    def _components(self) -> str:
        return ", ".join(self._pipeline.pipe_names) or "none"

    def _count_parameters(self) -> Iterator[int]:
        for _, component in self._pipeline.pipeline:
            nodes = component.model.walk() if getattr(component, "model", None) is not None else ()
            for node in nodes:
                yield from (node.get_param(name).size for name in node.param_names if node.has_param(name))

    def tag(self, texts: Sequence[str]) -> list[list[ScoredSpan]]:
        """See `SpanTagger.tag`."""
        with self._lock, self._pipeline.memory_zone():  # or else the vocabulary grows with the texts
            return [list(_scored_spans(parsed)) for parsed in self._pipeline.pipe(texts)]

    def close(self) -> None:
        """Free the pipeline's memory."""
        self._pipeline = None


def _pipeline_folder(folder: Path) -> Path:
    """The folder with the configuration: a package's is inside it, and has the package's version in its name."""
    inner = sorted(path.parent for path in folder.glob("*/config.cfg"))
    return folder if (folder / "config.cfg").is_file() or not inner else inner[0]


def _scored_spans(parsed: Any) -> Iterator[ScoredSpan]:  # noqa: ANN401 - untyped library
    for entity in parsed.ents:
        yield ScoredSpan(Span(entity.start_char, entity.end_char), {entity.label_: _PROBABILITY})
    for group in parsed.spans.values():
        scores = group.attrs.get("scores")
        for index, span in enumerate(group):
            probability = _PROBABILITY if scores is None else float(scores[index])
            yield ScoredSpan(Span(span.start_char, span.end_char), {span.label_: probability})
