"""spaCy: a pipeline component, `nlp.add_pipe("entsemble", config={"labels": ["person"]})`.

spaCy finds it by its entry point, so nothing has to be imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from entsemble.api import make_settings
from entsemble.data import docbin
from entsemble.ensemble import Ensemble
from entsemble.settings import Settings
from entsemble.types import Document

if not Doc.has_extension("mentions"):
    Doc.set_extension("mentions", default=())


@Language.factory(
    "entsemble",
    default_config={"labels": {}, "pool": None, "config": None, "preset": None, "spans_key": docbin.SPANS_KEY},
    assigns=["doc.ents", "doc.spans", "doc._.mentions"],
)
def make(
    nlp: Language,  # noqa: ARG001 - required by spaCy
    name: str,  # noqa: ARG001
    labels: Mapping[str, str] | Sequence[str],
    pool: str | None,
    config: str | None,
    preset: str | None,
    spans_key: str,
) -> EntsembleComponent:
    """Create the component; called by spaCy.

    Args:
        nlp: the pipeline.
        name: the component's name in it.
        labels: names, or name -> definition; if empty, those of the pool.
        pool: file of annotated sentences; without one, experts are used.
        config: configuration file, as for `entsemble extract`.
        preset: as for `entsemble extract`.
        spans_key: group of `doc.spans` for all mentions.
    """
    settings = make_settings(
        labels=labels or None, pool=None if pool is None else Path(pool), preset=preset, config=config
    )
    return EntsembleComponent(settings, spans_key)


class EntsembleComponent:
    """Finds mentions: all in `doc.spans` with their scores, flat ones in `doc.ents`, exact ones in `doc._.mentions`.

    In the first two, a mention that begins or ends within a token is expanded to the token's edges; `doc._.mentions`
    has the exact offsets, and the votes. Models are loaded with the first text and kept; `nlp.pipe` processes texts in
    parallel. If experts are used, they are selected for the first texts of each `nlp.pipe`.

    Args:
        settings: of the ensemble.
        spans_key: group of `doc.spans`.
    """

    def __init__(self, settings: Settings, spans_key: str = docbin.SPANS_KEY) -> None:
        self._ensemble, self._spans_key = Ensemble(settings), spans_key

    def __call__(self, spacy_doc: Doc) -> Doc:
        """Process one text."""
        return next(self.pipe([spacy_doc]))

    def pipe(self, spacy_docs: Iterable[Doc], batch_size: int = 128) -> Iterator[Doc]:  # noqa: ARG002 - streamed instead
        """Process many texts, in order.

        Raises:
            EntsembleError: a text failed, or a model is not available.
        """
        pending_docs: list[Doc] = []

        def documents() -> Iterator[Document]:
            for number, spacy_doc in enumerate(spacy_docs):
                pending_docs.append(spacy_doc)
                yield Document(str(number), spacy_doc.text)

        for document in self._ensemble.extract_many(self._ensemble.prepare(documents())):
            spacy_doc = pending_docs.pop(0)
            docbin.add_mentions(spacy_doc, document.mentions, self._spans_key)
            spacy_doc._.mentions = document.mentions
            yield spacy_doc

    def close(self) -> None:
        """Unload the models."""
        self._ensemble.close()

    def to_disk(self, path: Path, *, exclude: Iterable[str] = ()) -> None:
        """Nothing to save: the component's settings are in the pipeline's configuration."""

    def from_disk(self, path: Path, *, exclude: Iterable[str] = ()) -> EntsembleComponent:  # noqa: ARG002
        """Nothing to load; see `to_disk`."""
        return self
