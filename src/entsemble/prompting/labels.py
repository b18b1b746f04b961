"""Readable label names for prompts: `PER` becomes `person`."""

from __future__ import annotations

import re
from collections import Counter

from entsemble.types import NONE_LABEL, Label, LabelSet

_READABLE_NAMES = {
    "per": "person",
    "pers": "person",
    "loc": "location",
    "org": "organisation",
    "misc": "miscellaneous",
    "gpe": "geopolitical entity",
    "nat": "nationality",
    "fac": "facility",
    "prod": "product",
    "evt": "event",
    "dis": "disease",
    "chem": "chemical",
    "oth": "other",
    "otherscientificterm": "other scientific term",
    "academicjournal": "academic journal",
    "astronomicalobject": "astronomical object",
    "chemicalcompound": "chemical compound",
    "chemicalelement": "chemical element",
    "literarygenre": "literary genre",
    "musicalartist": "musical artist",
    "musicalinstrument": "musical instrument",
    "musicgenre": "music genre",
    "politicalparty": "political party",
    "programlang": "programming language",
    "cell_line": "cell line",
    "cell_type": "cell type",
    "rna": "RNA",
    "dna": "DNA",
    "per.nam": "person name",
    "per.nom": "person noun",
    "loc.nam": "location name",
    "loc.nom": "location noun",
    "org.nam": "organisation name",
    "org.nom": "organisation noun",
    "gpe.nam": "geopolitical entity name",
    "gpe.nom": "geopolitical entity noun",
}
_SUFFIXES = {"deriv": "derived", "part": "part"}  # GermEval: `LOCderiv`, `ORGpart`


def readable_name(name: str) -> str:
    """A label name in words: `PER` -> `person`, `Multi-tissue_structure` -> `multi-tissue structure`.

    Corpora abbreviate names and join their words; models understand words better.
    """
    if name.lower() in _READABLE_NAMES:
        return _READABLE_NAMES[name.lower()]
    for suffix, suffix_word in _SUFFIXES.items():
        stem = name.removesuffix(suffix).lower()
        if name.endswith(suffix) and stem in _READABLE_NAMES:
            return f"{_READABLE_NAMES[stem]} {suffix_word}"
    spaced = re.sub(r"[_./\s]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip()
    if name == name.lower():
        spaced = spaced.replace("-", " ")
    return (spaced if spaced.isupper() and len(spaced) <= 3 else spaced.lower()) or name  # `DNA` stays an acronym


def label_set(definitions: dict[str, str], *, nested: bool = False) -> LabelSet:
    """The label set of a mapping from name to definition (may be empty), in the mapping's order.

    Names with the same readable name (`Work`, `work`) keep their spelling in prompts.
    """
    readable_names = [readable_name(name) for name in definitions]
    name_counts = Counter(readable_names)
    return LabelSet(
        tuple(
            Label(
                name,
                readable if name_counts[readable] == 1 and readable != NONE_LABEL else name,
                definition.strip(),
            )
            for (name, definition), readable in zip(definitions.items(), readable_names, strict=True)
        ),
        nested=nested,
    )
