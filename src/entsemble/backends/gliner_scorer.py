"""GLiNER and GLiNER2 models, which read the requested labels (arXiv 2311.08526, 2507.18546)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from entsemble._lib.cancellation import until_cancelled
from entsemble._lib.optional import require
from entsemble._lib.text import whole_words, word_spans
from entsemble.backends.label_reader.model import group_labels
from entsemble.backends.torch_memory import copy_from_file
from entsemble.errors import ModelUnavailableError
from entsemble.types import Label, LabelSet, ScoredSpan, Span

_CONFIG = "gliner_config.json"
"""Of GLiNER; GLiNER2 has a `config.json`."""

_BATCH = 8

_MAX_WORDS, _OVERLAP_WORDS = 384, 24
"""Of a window, if the model's configuration states no fewer; a longer text is read in windows that overlap."""

_MIN_SCORE = 0.01
"""Lower scores say nothing, and there are as many of them as spans."""

_Entity = tuple[int, int, str, float]
"""Start, end, label as shown, and score of an entity."""


class GlinerScorer:
    """Scores spans for any labels; see `protocols.SpanScorer`. GLiNER2 reads definitions as well.

    Args:
        name: in messages.
        folder: as the library's `save_pretrained` writes it.
        checksum: of its files.

    Raises:
        MissingExtraError: the library is not installed.
        ModelUnavailableError: it cannot be loaded.
    """

    def __init__(self, name: str, folder: Path, checksum: str) -> None:
        is_first = (folder / _CONFIG).is_file()
        module, extra = ("gliner", "gliner") if is_first else ("gliner2", "gliner2")
        library: Any = require(module, extra, f"the voice {name}")
        self.name, self.fingerprint = name, f"{module}:{library.__version__}:{checksum}"
        try:
            if is_first:
                self._model = library.GLiNER.from_pretrained(str(folder), local_files_only=True)
            else:
                self._model = library.AutoExtractor.from_pretrained(str(folder))
        except Exception as error:  # each library raises its own kinds
            problem = str(error).strip().partition("\n")[0]
            raise ModelUnavailableError(f"cannot load the {module} model {folder}: {problem}") from error
        copy_from_file(self._model)
        self._model.eval()
        self._predict = self._predict_first if is_first else self._predict_second
        self._max_words = min(_MAX_WORDS, getattr(self._model.config, "max_len", None) or _MAX_WORDS)
        self.parameters = sum(parameter.numel() for parameter in self._model.parameters())
        self._lock = threading.Lock()  # its tokenizer is not for several threads

    def score_spans(self, texts: Sequence[str], labels: LabelSet, minimum: float) -> list[list[ScoredSpan]]:
        """See `SpanScorer.score_spans`. A span in two windows keeps its higher probabilities."""
        windows = [(index, span) for index, text in enumerate(texts) for span in self._windows(text)]
        scores: list[dict[Span, dict[str, float]]] = [{} for _ in texts]
        window_texts = [span.slice(texts[index]) for index, span in windows]
        for group in until_cancelled(group_labels(labels)):
            names = {label.readable: label.name for label in group}
            with self._lock:
                answers = self._predict(window_texts, group, max(minimum, _MIN_SCORE)) if windows else []
            for (index, window), entities in zip(windows, answers, strict=True):
                for start, end, shown, score in entities:
                    if end > len(window):
                        continue  # GLiNER2 adds a full stop
                    span = whole_words(texts[index], Span(window.start + start, window.start + end))
                    if span is None:
                        continue
                    by_label = scores[index].setdefault(span, dict.fromkeys(labels.names, 0.0))
                    by_label[names[shown]] = max(score, by_label[names[shown]])
        return [[ScoredSpan(span, by_label) for span, by_label in sorted(by_span.items())] for by_span in scores]

    def _windows(self, text: str) -> Iterator[Span]:
        words = word_spans(text)
        step = max(1, self._max_words - _OVERLAP_WORDS)
        for first in range(0, max(1, len(words) - _OVERLAP_WORDS), step):
            part = words[first : first + self._max_words]
            if part:
                yield Span(part[0].start, part[-1].end)

    def _predict_first(self, texts: Sequence[str], labels: Sequence[Label], minimum: float) -> list[list[_Entity]]:
        shown = [label.readable for label in labels]
        answers = self._model.inference(
            [*texts], shown, threshold=minimum, flat_ner=False, multi_label=True, batch_size=_BATCH
        )
        return [[(e["start"], e["end"], e["label"], float(e["score"])) for e in entities] for entities in answers]

    def _predict_second(self, texts: Sequence[str], labels: Sequence[Label], minimum: float) -> list[list[_Entity]]:
        shown = {label.readable: label.definition or label.readable for label in labels}
        answers = self._model.batch_extract_entities(
            [*texts],
            shown,
            batch_size=_BATCH,
            threshold=minimum,
            include_confidence=True,
            include_spans=True,
            overlap_policy="nested",
        )
        return [list(_entities(answer["entities"])) for answer in answers]

    def close(self) -> None:
        """Free the model's memory."""
        self._model = None


def _entities(by_label: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[_Entity]:
    for shown, entities in by_label.items():
        yield from ((e["start"], e["end"], shown, float(e["confidence"])) for e in entities)
