"""The domains that have an expert: groups of the corpora that the label reader learned from."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tools.reader.corpora import Document
from tools.reader.mixture import Mixture

SENTENCES = 512
"""An expert's training sentences; those of a smaller domain are seen more than once."""

MOST_WORDS = 40
"""Longer sentences are left out."""

SEED = 7

DOMAINS: dict[str, tuple[str, ...]] = {
    "encyclopedia": ("few_nerd_a", "few_nerd_b", "multiconer2_en", "grobid_ner", "wikigold"),
    "books": ("litbank", "ajmc_classics"),
    "social": ("wnut17", "btc"),
    "business": ("sec-filings", "skillspan", "pii-presidio-synth"),
    "products": ("oa_mine",),
    "computing": ("stackoverflow_ner", "somesci", "annoctr"),
    "materials": ("mulms", "materials_synthesis", "sofc_exp", "grobid_quantities"),
    "references": (
        "anystyle_references",
        "grobid_citation",
        "grobid_header",
        "grobid_affiliation",
        "grobid_funding",
        "grobid_names_dates",
    ),
    "molecules": ("genia", "craft", "bionlp13pc", "bionlp11id", "bc2gm"),
    "medicine": ("bc5cdr", "ncbi-disease", "phee", "anatem", "bionlp13cg", "linnaeus"),
    "home": ("slurp", "hwu64", "nlu_evaluation"),
    "media": ("snips", "xsid"),
    "tasks": ("sgd",),
    "customers": ("multidogo",),
    "office": ("ms_bot_skills",),
    "bookings": ("restaurant8k", "nlupp", "rasa_financial"),
}
"""Domain -> its corpora in `tools/reader/sources.toml`; all English training corpora but two of
addresses and personal names."""


@dataclass
class SampledMixture(Mixture):
    """A mixture whose epochs all have the same sentences, in another order each time."""

    sentences: list[Document] = field(default_factory=list)

    def epoch(self, random_seed: int, epoch_number: int) -> list[Document]:
        """All sentences."""
        shuffled = list(self.sentences)
        random.Random(f"{random_seed}-{epoch_number}").shuffle(shuffled)
        return shuffled


def sample_domain(mixture: Mixture, domain: str) -> list[Document]:
    """At most `SENTENCES` of a domain, as many of each corpus as there are, up to equal shares of what is left."""
    generator = random.Random(f"{SEED}-{domain}")
    corpora = [
        [sentence for sentence in mixture.corpora[name].epoch(generator) if len(sentence.text.split()) <= MOST_WORDS]
        for name in DOMAINS[domain]
    ]
    corpora.sort(key=len)
    sampled: list[Document] = []
    for position, sentences in enumerate(corpora):
        sampled += sentences[: (SENTENCES - len(sampled)) // (len(corpora) - position)]
    return sampled


def domain_mixture(mixture: Mixture, domain: str) -> SampledMixture:
    """What the domain's expert is trained on."""
    return SampledMixture(mixture.corpora, sample_domain(mixture, domain))


def union_mixture(mixture: Mixture) -> SampledMixture:
    """What the unified model is trained on: the sentences of all experts, each as often as its expert sees it."""
    union: list[Document] = []
    for domain in DOMAINS:
        sentences = sample_domain(mixture, domain)
        repeated = sentences * (-(-SENTENCES // len(sentences)))
        union += repeated[:SENTENCES]
    return SampledMixture(mixture.corpora, union)
