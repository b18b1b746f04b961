"""Label names in words. Corpora squash and abbreviate them (`PER`, `musicalartist`); a model reads words."""

from __future__ import annotations

import re

from entsemble.types import Label, LabelSet

_WORDS = {
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
    """`name` in words: `PER` -> `person`, `Multi-tissue_structure` -> `multi-tissue structure`."""
    if name.lower() in _WORDS:
        return _WORDS[name.lower()]
    for suffix, word in _SUFFIXES.items():
        if name.endswith(suffix) and name.removesuffix(suffix).lower() in _WORDS:
            return f"{_WORDS[name.removesuffix(suffix).lower()]} {word}"
    spaced = re.sub(r"[_./\s]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip()
    if name == name.lower():
        spaced = spaced.replace("-", " ")
    return (spaced if spaced.isupper() and len(spaced) <= 3 else spaced.lower()) or name  # `DNA` stays an acronym


def label_set(definitions: dict[str, str], *, nested: bool = False) -> LabelSet:
    """A label set from name -> definition (may be empty), in the order given.

    Two names that read alike (`Work`, `work`) keep their own spelling.
    """
    words = [readable_name(name) for name in definitions]
    return LabelSet(
        tuple(
            Label(name, word if words.count(word) == 1 and word != "none" else name, definition.strip())
            for (name, definition), word in zip(definitions.items(), words, strict=True)
        ),
        nested=nested,
    )
