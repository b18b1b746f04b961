"""How a label is shown: other words for it, another spelling, its definition, a few examples."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_UNUSED_DEFINITIONS = {"crossner", "mitmovie", "mitrestaurant", "conll03"}  # their corpora are measured on
_PREFIX = re.compile(r"^(ace|ner|ontonotes|multinerd|wnut|bc5cdr|ncbi|fabner|diann|harveyner|e3c|wikievents_ner)_")
_VOWELS = "aeiou"
DEFINITION_WORDS = 24


@dataclass
class Wording:
    """Synonyms of labels and definitions by label name that hold for any corpus."""

    synonyms: dict[str, list[str]] = field(default_factory=dict)
    definitions: dict[str, list[str]] = field(default_factory=dict)

    def shown(
        self, label_name: str, taken_names: set[str], random_generator: random.Random, synonyms: Sequence[str] = ()
    ) -> str:
        """A label in words that no other label of the prompt has."""
        possible_texts = [
            synonym
            for synonym in [*self.synonyms.get(label_name.lower(), ()), *synonyms]
            if synonym.lower() not in taken_names
        ]
        label_words = (
            random_generator.choice(possible_texts)
            if possible_texts and random_generator.random() < 0.35
            else label_name
        )
        return respelled(label_words, random_generator)

    def definition(self, label_name: str, own_definitions: Iterable[str], random_generator: random.Random) -> str:
        """One of the definitions of a label, cut; empty if there is none."""
        own_texts = list(own_definitions)
        general_texts = self.definitions.get(label_name.lower(), [])
        possible_texts = (
            own_texts if own_texts and (not general_texts or random_generator.random() < 0.6) else general_texts
        )
        if not possible_texts:
            return ""
        word_limit = DEFINITION_WORDS if random_generator.random() < 0.85 else 2 * DEFINITION_WORDS
        return " ".join(random_generator.choice(possible_texts).split()[:word_limit])


def load_wording(data_root: Path) -> Wording:
    """The synonyms beside this file, the definitions that the data folder holds."""
    synonym_table: dict[str, list[str]] = tomllib.loads((Path(__file__).parent / "paraphrases.toml").read_text("utf-8"))
    label_wording = Wording({label_name.lower(): label_words for label_name, label_words in synonym_table.items()})
    definitions_file = data_root / "diverse/definitions/definitions_gollie.json"
    if definitions_file.exists():
        for corpus_name, label_texts in json.loads(definitions_file.read_text(encoding="utf-8")).items():
            if corpus_name in _UNUSED_DEFINITIONS:
                continue
            for definition_key, definition_texts in label_texts.items():
                if _PREFIX.match(definition_key) and not definition_key.endswith("_examples"):
                    label_name = _PREFIX.sub("", definition_key).replace("_", " ")
                    label_wording.definitions.setdefault(label_name, []).extend(
                        " ".join(definition_text.split()) for definition_text in definition_texts
                    )
    for label_name, alias_name in (
        ("corporation", "company"),
        ("creativework", "creative work"),
        ("gpe", "geopolitical entity"),
    ):
        if label_name in label_wording.definitions:
            label_wording.definitions[alias_name] = label_wording.definitions[label_name]
    return label_wording


def respelled(label_words: str, random_generator: random.Random) -> str:
    """A label as corpora and users spell it: mostly as it is, at times as a tag, squashed or in the plural."""
    (spelling,) = random_generator.choices(_SPELLINGS, _SPELLING_WEIGHTS)
    return spelling(label_words)


def plural(label_words: str) -> str:
    """The last word in the plural, by the plain rules; longer descriptions stay as they are."""
    if not re.fullmatch(r"[A-Za-z]+( [A-Za-z]+){0,2}", label_words) or label_words.endswith(("s", "x")):
        return label_words
    if label_words.endswith("y") and label_words[-2:-1] not in _VOWELS:
        return f"{label_words[:-1]}ies"
    return f"{label_words}es" if label_words.endswith(("ch", "sh")) else f"{label_words}s"


def article(label_words: str) -> str:
    """`a` or `an`."""
    return "an" if label_words[:1].lower() in _VOWELS else "a"


def name_of(shown_label: str) -> str:
    """The name at the start of a label as shown, without its definition or examples."""
    return re.split(": |, such as ", shown_label, maxsplit=1)[0]


def with_examples(label_name: str, examples: Sequence[str]) -> str:
    """A label followed by things that it names."""
    return f"{label_name}, such as {' or '.join(examples)}"


_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda label_words: label_words.replace(" ", "_"),
    lambda label_words: label_words.replace(" ", "-"),
    lambda label_words: label_words.replace(" ", ""),
    lambda label_words: label_words.upper().replace(" ", "_"),
    str.title,
    plural,
    lambda label_words: f"{article(label_words)} {label_words}",
)
_SPELLING_WEIGHTS = (70, 8, 3, 3, 3, 3, 6, 4)
