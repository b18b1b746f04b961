"""A component for spaCy's pipelines: `nlp.add_pipe("entsemble", config={"labels": ["person"]})`.

spaCy finds it by its entry point; nothing need be imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from entsemble.assembly import Assembly, adapt
from entsemble.data import docbin
from entsemble.extractor import LocalExtractor
from entsemble.ner.documents import Failed
from entsemble.settings import Settings, environment, load
from entsemble.types import Document

if not Doc.has_extension("mentions"):
    Doc.set_extension("mentions", default=())


@Language.factory(
    "entsemble",
    default_config={"labels": {}, "pool": None, "config": None, "preset": None, "spans_key": docbin.SPANS_KEY},
    assigns=["doc.ents", "doc.spans", "doc._.mentions"],
)
def make(
    nlp: Language,  # noqa: ARG001 - spaCy gives it
    name: str,  # noqa: ARG001
    labels: Mapping[str, str] | Sequence[str],
    pool: str | None,
    config: str | None,
    preset: str | None,
    spans_key: str,
) -> Entsemble:
    """The component, as spaCy makes it.

    Args:
        nlp: spaCy's.
        name: spaCy's.
        labels: names, or name -> definition; none takes the pool's.
        pool: file of annotated sentences; without one, experts answer.
        config: file, as for `entsemble extract`.
        preset: as for `entsemble extract`.
        spans_key: group of `doc.spans` that all mentions go to.
    """
    asked = dict(labels) if isinstance(labels, Mapping) else dict.fromkeys(labels, "")
    overrides = {"labels": asked or None, "pool": {"path": pool}}
    return Entsemble(load(Path(config) if config else None, preset, overrides), spans_key)


class Entsemble:
    """Finds mentions: all in `doc.spans` with their scores, flat ones in `doc.ents`, exact ones in `doc._.mentions`.

    A mention that begins or ends within a token is taken to the token's edges in the first two; `doc._.mentions` keeps
    its own offsets, and who voted how. Models are loaded with the first text and kept; `nlp.pipe` gives them many texts
    at once. Where experts answer, they are chosen by the first texts of each `nlp.pipe`.

    Args:
        settings: of the ensemble.
        spans_key: group of `doc.spans`.
    """

    def __init__(self, settings: Settings, spans_key: str = docbin.SPANS_KEY) -> None:
        self._settings, self._key = settings, spans_key
        self._assembly: Assembly | None = None
        self._made: tuple[Settings, LocalExtractor] | None = None

    def __call__(self, doc: Doc) -> Doc:
        """One text."""
        return next(self.pipe([doc]))

    def pipe(self, docs: Iterable[Doc], batch_size: int = 128) -> Iterator[Doc]:  # noqa: ARG002 - taken as they come
        """Many texts, in order.

        Raises:
            EntsembleError: a text that could not be done, or models that cannot be had.
        """
        waiting: list[Doc] = []

        def texts() -> Iterator[Document]:
            for number, doc in enumerate(docs):
                waiting.append(doc)
                yield Document(str(number), doc.text)

        settings, documents, _ = adapt(self._settings, environment(), texts())
        for result in self._extractor(settings).extract(documents):
            if isinstance(result, Failed):
                raise result.error
            doc, found = waiting.pop(0), result.document.mentions
            docbin.add_mentions(doc, found, self._key)
            doc._.mentions = found
            yield doc

    def close(self) -> None:
        """Give back the models' memory."""
        if self._assembly is not None:
            self._assembly.models.close()
        self._assembly = self._made = None

    def to_disk(self, path: Path, *, exclude: Iterable[str] = ()) -> None:
        """Nothing: the component's settings are in the pipeline's configuration."""

    def from_disk(self, path: Path, *, exclude: Iterable[str] = ()) -> Entsemble:  # noqa: ARG002
        """Itself; see `to_disk`."""
        return self

    def _extractor(self, settings: Settings) -> LocalExtractor:
        """The one for these settings, which change only where experts are chosen by the texts."""
        if self._made is None or self._made[0] != settings:
            self.close()
            self._assembly = Assembly(settings, environment())
            self._made = settings, self._assembly.extractor()
        return self._made[1]
