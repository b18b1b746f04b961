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

    def shown(self, label: str, taken: set[str], generator: random.Random, synonyms: Sequence[str] = ()) -> str:
        """A label in words that no other label of the prompt has."""
        choices = [text for text in [*self.synonyms.get(label.lower(), ()), *synonyms] if text.lower() not in taken]
        words = generator.choice(choices) if choices and generator.random() < 0.35 else label
        return respelled(words, generator)

    def definition(self, label: str, own_definitions: Iterable[str], generator: random.Random) -> str:
        """One of the definitions of a label, cut; empty if there is none."""
        own_texts = list(own_definitions)
        general = self.definitions.get(label.lower(), [])
        choices = own_texts if own_texts and (not general or generator.random() < 0.6) else general
        if not choices:
            return ""
        most = DEFINITION_WORDS if generator.random() < 0.85 else 2 * DEFINITION_WORDS
        return " ".join(generator.choice(choices).split()[:most])


def load_wording(data: Path) -> Wording:
    """The synonyms beside this file, the definitions that the data folder holds."""
    table: dict[str, list[str]] = tomllib.loads((Path(__file__).parent / "paraphrases.toml").read_text("utf-8"))
    wording = Wording({label.lower(): words for label, words in table.items()})
    file = data / "diverse/definitions/definitions_gollie.json"
    if file.exists():
        for corpus, labels in json.loads(file.read_text(encoding="utf-8")).items():
            if corpus in _UNUSED_DEFINITIONS:
                continue
            for key, texts in labels.items():
                if _PREFIX.match(key) and not key.endswith("_examples"):
                    name = _PREFIX.sub("", key).replace("_", " ")
                    wording.definitions.setdefault(name, []).extend(" ".join(text.split()) for text in texts)
    for name, other in (("corporation", "company"), ("creativework", "creative work"), ("gpe", "geopolitical entity")):
        if name in wording.definitions:
            wording.definitions[other] = wording.definitions[name]
    return wording


def respelled(words: str, generator: random.Random) -> str:
    """A label as corpora and users spell it: mostly as it is, at times as a tag, squashed or in the plural."""
    (rewrite,) = generator.choices(_SPELLINGS, _SPELLING_WEIGHTS)
    return rewrite(words)


def plural(words: str) -> str:
    """The last word in the plural, by the plain rules; longer descriptions stay as they are."""
    if not re.fullmatch(r"[A-Za-z]+( [A-Za-z]+){0,2}", words) or words.endswith(("s", "x")):
        return words
    if words.endswith("y") and words[-2:-1] not in _VOWELS:
        return f"{words[:-1]}ies"
    return f"{words}es" if words.endswith(("ch", "sh")) else f"{words}s"


def article(words: str) -> str:
    """`a` or `an`."""
    return "an" if words[:1].lower() in _VOWELS else "a"


def with_examples(label: str, examples: Sequence[str]) -> str:
    """A label followed by things that it names."""
    return f"{label}, such as {' or '.join(examples)}"


_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda words: words.replace(" ", "_"),
    lambda words: words.replace(" ", "-"),
    lambda words: words.replace(" ", ""),
    lambda words: words.upper().replace(" ", "_"),
    str.title,
    plural,
    lambda words: f"{article(words)} {words}",
)
_SPELLING_WEIGHTS = (70, 8, 3, 3, 3, 3, 6, 4)
