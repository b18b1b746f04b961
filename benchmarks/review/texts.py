"""Twelve texts of four domains, written for this benchmark: three of each, with 30 mentions or more in each.

A file of `texts/` is a domain. A line that begins with `# ` is the title of a text, each other line is a sentence, and
a mention is written `[surface|label]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from entsemble.types import Document, Mention

FOLDER = Path(__file__).with_name("texts")

LABELS: Mapping[str, Mapping[str, str]] = {
    "clinical": {
        "symptom": "what a patient feels or shows",
        "condition": "a disease or disorder",
        "drug": "a medicine",
        "dose": "how much of a medicine, with its unit",
        "examination": "a test or an investigation",
        "clinician": "the name of a doctor or nurse",
    },
    "contract": {
        "party": "a company or body that takes part in a contract",
        "person": "the name of a person",
        "date": "a calendar date",
        "amount": "a sum of money",
        "address": "where a person or company can be reached, or where a thing is",
        "statute": "the name of a law",
    },
    "cooking": {
        "ingredient": "food that goes into a dish",
        "amount": "how much of an ingredient, with its unit",
        "utensil": "a tool or vessel of the kitchen",
        "dish": "the name of a prepared food",
    },
    "news": {
        "person": "the name of a person",
        "organisation": "a company, club, authority or other body",
        "location": "a town, street, building or other place",
        "event": "something that took place or will, and has a name",
    },
}
"""Domain -> its labels with their definitions."""

_MENTION = re.compile(r"\[([^\]|]+)\|([^\]]+)\]")


def read_domain(domain: str) -> list[list[Document]]:
    """The texts of a domain, each as its annotated sentences.

    Raises:
        ValueError: a label is not one of the domain's, or a bracket is left over.
    """
    texts: list[list[Document]] = []
    for line in (FOLDER / f"{domain}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            texts.append([])
        elif line:
            name = f"{domain}-{len(texts)}-{len(texts[-1]) + 1}"
            texts[-1].append(parse_sentence(name, line, LABELS[domain]))
    return texts


def parse_sentence(name: str, line: str, labels: Mapping[str, str] | Sequence[str]) -> Document:
    """A sentence with its mentions; raises as `read_domain` does."""
    text, mentions, position = "", [], 0
    for match in _MENTION.finditer(line):
        surface, label = match.groups()
        if label not in labels:
            raise ValueError(f"{name}: {label!r} is no label of this domain")
        text += line[position : match.start()]
        mentions.append(Mention(len(text), len(text) + len(surface), label, surface))
        text, position = text + surface, match.end()
    text += line[position:]
    if "[" in text or "|" in text or "]" in text:
        raise ValueError(f"{name}: a bracket is left over in {text!r}")
    return Document(name, text, tuple(mentions))
