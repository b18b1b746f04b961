"""Where the development corpora lie, and what each file holds. Figures only: no sentence is ever copied here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def folder() -> Path | None:
    """The folder of corpora: `ENTSEMBLE_DATA`, or the one beside the project, if there is any."""
    named = os.environ.get("ENTSEMBLE_DATA")
    place = Path(named) if named else _BESIDE
    return place if place.is_dir() else None


def corpus(path: str) -> Path:
    """The corpus file at `path`; skips the test where there is none."""
    place = folder()
    if place is None:
        pytest.skip("no corpora: set ENTSEMBLE_DATA to their folder")
    if not (place / path).exists():
        pytest.skip(f"the corpora hold no {path}")
    return place / path


COUNTS = {
    "crossner/ai/train.txt": (100, 532),
    "crossner/ai/dev.txt": (350, 1549),
    "crossner/ai/test.txt": (431, 1809),
    "crossner/literature/train.txt": (100, 541),
    "crossner/literature/dev.txt": (400, 2130),
    "crossner/music/train.txt": (100, 648),
    "crossner/music/dev.txt": (380, 2679),
    "crossner/politics/train.txt": (200, 1304),
    "crossner/politics/dev.txt": (541, 3482),
    "crossner/politics/test.txt": (651, 4209),
    "crossner/science/train.txt": (200, 1075),
    "crossner/science/dev.txt": (450, 2538),
    "crossner/science/test.txt": (543, 3089),
    "conll2003-4col/train.txt": (14041, 23499),
    "conll2003-4col/valid.txt": (3250, 5942),
    "wnut17/wnut17train.conll": (3394, 1975),
    "wnut17/emerging.dev.conll": (1009, 836),
    "genia/genia.train.reconstructed.iob2": (15023, 45932),
    "genia/genia.dev.iob2": (1669, 4337),
    "mit-movie/engtrain.bio": (9775, 21295),
    "mit-movie/engtest.bio": (2443, 5339),
    "mit-movie/variants/engtest.token-first-tab.txt": (2443, 5339),
    "mit-movie/variants/trivia10k13test.crlf.bio": (1953, 5686),
    "mit-restaurant/restauranttrain.bio": (7660, 15363),
    "bc5cdr/train.tsv": (4560, 9385),
    "bc5cdr/devel.tsv": (4581, 9593),
    "bc5cdr/test.tsv": (4797, 9809),
    "ncbi-disease/train.tsv": (5424, 5134),
    "ncbi-disease/devel.tsv": (923, 787),
    "ncbi-disease/devel.iobes.tsv": (923, 787),
    "bionlp13cg/train.tsv": (3033, 10826),
    "bionlp13cg/devel.tsv": (1003, 3616),
    "bionlp13cg/test.tsv": (1906, 6881),
    "scierc-flat/train.txt": (1861, 5572),
    "scierc-flat/dev.txt": (275, 808),
    "scierc-flat/test.txt": (551, 1683),
    "btc/a.conll": (1000, 521),
    "btc/b.conll": (2000, 1610),
    "btc/e.conll": (200, 325),
    "btc/f.conll": (2000, 4376),
    "btc/g.conll": (2138, 4685),
    "btc/h.conll": (2001, 3368),
    "re3d/re3d-train.conll": (765, 2718),
    "re3d/re3d-test.conll": (200, 676),
    "sec-filings/FIN5.txt": (1164, 1168),
    "sec-filings/FIN3.txt": (303, 318),
    "wikigold/wikigold.conll.txt": (1696, 3558),
    "zh-weibo/weiboNER_2nd_conll.train": (1350, 1895),
    "zh-weibo/weiboNER_2nd_conll.dev": (270, 389),
    "zh-weibo/weiboNER_2nd_conll.test": (270, 418),
    "masakhaner1/swa/train.txt": (2109, 4591),
    "masakhaner1/swa/dev.txt": (300, 674),
    "masakhaner1/yor/train.txt": (2171, 2863),
    "masakhaner1/yor/dev.txt": (305, 360),
    "uner-danish/da_ddt-ud-train.iob2": (4383, 3028),
    "uner-danish/da_ddt-ud-dev.iob2": (564, 379),
    "uner-danish/da_ddt-ud-test.iob2": (565, 447),
    "de-germeval2014/germ.dev.iob2": (2200, 2886),
    "de-germeval2014/germ.test.iob2": (5100, 6693),
    "pii-presidio-synth/synth_dataset_v2.json": (1500, 2863),
    "es-meddocan-deid/meddocan-brat.tar.gz": (1000, 22795),
}
"""File -> (sentences or documents, entities)."""
