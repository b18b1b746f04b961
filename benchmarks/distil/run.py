"""What students keep of their teacher, beside a CRF that is trained on the same pool.

    python -m benchmarks.distil.run [--only wnut17,conll2003]

The teacher is the preset `instant` with a pool of 500 sentences of WNUT17's training file, 200 of CoNLL-2003's, or all
of CrossNER politics', drawn by the seed. It annotates further texts: the rest of the training file, at most 3,000; of
politics, the rest of the development file and the test file, whose annotation nothing reads. Both kinds of student are
trained on the pool and these annotations, written to a folder and run from it as users run them. All are scored on the
same sentences of the development file. Rates are sentences by second of processor time, one thread. Needs the corpora:
the folder that ENTSEMBLE_DATA names. A corpus with a stored result is not measured again.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from benchmarks.baselines.crf import CrfTagger
from benchmarks.common import parse_corpora, read_sentences, run_missing
from benchmarks.quality.compare import count_sentences
from benchmarks.quality.corpora import corpus_named
from entsemble.distillation.student import SETTINGS_FILE, StudentKind, train_student, write_folder
from entsemble.ensemble import Ensemble
from entsemble.settings import Settings, load
from entsemble.types import Document, LabelSet

RESULTS = Path(__file__).parent / "results"
SEED = 0
KINDS: Sequence[StudentKind] = get_args(StudentKind)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of sentences.

    Attributes:
        pool: of the training file.
        scored: of the development file.
        texts: that the teacher annotates, at most.
        texts_from_train: whether these are of the training file, or else of the other two.
    """

    pool: int
    scored: int
    texts: int = 3000
    texts_from_train: bool = True


CORPORA = {
    "crossner-politics": Sizes(200, 300, texts_from_train=False),
    "conll2003": Sizes(200, 300),
    "wnut17": Sizes(500, 500),
}


def main() -> None:
    """Measure what is missing."""
    names = parse_corpora(__doc__, CORPORA)
    run_missing(RESULTS, names, "python -m benchmarks.distil.run --only {}", measure)


def measure(name: str) -> dict[str, object]:
    """Counts of each sentence and rates: of the teacher, of its students, and of a CRF."""
    pool, texts, gold = sample(name)
    settings = load(preset="instant", overrides={"threads": 1, "workers": 1})
    with Ensemble(settings, examples=pool, held_out=gold) as teacher:
        labels = teacher.labels
        silver = list(teacher.extract_many(texts))
        teacher_counts, teacher_rate = score(teacher, gold)
    counts, rates = {"teacher": teacher_counts}, {"teacher": teacher_rate}
    print(name, f"{len(silver)} texts annotated", flush=True)
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            settings = distil(kind, pool, silver, labels, Path(folder) / "student")
            with Ensemble(settings) as student:
                counts[kind], rates[kind] = score(student, gold)
    crf = CrfTagger(pool)
    counts["crf"] = count_sentences(gold, [crf.predict(document) for document in gold])
    return {
        "corpus": name,
        "seed": SEED,
        "pool": len(pool),
        "texts": len(texts),
        "counts": counts,
        "rates": rates,
    }


def sample(name: str) -> tuple[list[Document], list[Document], list[Document]]:
    """A pool, texts without annotation, and scored sentences; no text is in two of them."""
    corpus, sizes, generator = corpus_named(name), CORPORA[name], random.Random(SEED)
    train, dev = _unique(read_sentences(corpus.train)), read_sentences(corpus.dev)
    train, dev = generator.sample(train, len(train)), generator.sample(dev, len(dev))
    pool, gold = train[: sizes.pool], dev[: sizes.scored]
    others = train[sizes.pool :] if sizes.texts_from_train else [*dev[sizes.scored :], *read_sentences(corpus.test)]
    known = {document.text for document in (*pool, *gold)}
    unlabelled = [document.text for document in _unique(others) if document.text not in known][: sizes.texts]
    return pool, [Document(f"text {number}", text) for number, text in enumerate(unlabelled)], gold


def distil(
    kind: StudentKind, pool: Sequence[Document], silver: Sequence[Document], labels: LabelSet, folder: Path
) -> Settings:
    """Train a student, write it, and read the settings that run it."""
    started = time.process_time()
    student = train_student(kind, pool, silver, labels, seed=SEED)
    write_folder(student, folder)
    student.close()
    print(kind, f"trained in {time.process_time() - started:.0f} s of processor time", flush=True)
    return load(folder / SETTINGS_FILE, overrides={"threads": 1, "workers": 1})


def score(ensemble: Ensemble, gold: Sequence[Document]) -> tuple[list[list[int]], float]:
    """Counts of each sentence, and sentences by second of processor time."""
    ensemble.prepare(())
    started = time.process_time()
    predicted = [document.mentions for document in ensemble.extract_many(replace(d, mentions=()) for d in gold)]
    seconds = time.process_time() - started
    return count_sentences(gold, predicted), len(gold) / seconds


def _unique(documents: Iterable[Document]) -> list[Document]:
    return list({document.text: document for document in reversed([*documents])}.values())[::-1]


if __name__ == "__main__":
    main()
