"""The name of a voice's model in the settings -> what it refers to. Nothing is loaded here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from entsemble._lib.paths import real_path
from entsemble.backends.label_reader.model import BUNDLED_READER
from entsemble.errors import ConfigError, UnknownNameError

VOICE_FORMS: Mapping[str, str] = MappingProxyType(
    {
        "reader": "reader:FOLDER",
        "spacy": "spacy:PIPELINE",
        "gliner": "gliner:FOLDER or gliner:OWNER/REPO",
        "tokens": "tokens:FOLDER or tokens:OWNER/REPO",
        "patterns": "patterns:FILE.toml",
        "student": "student:FOLDER",
    }
)
"""Kind -> how a voice of that kind is named."""


TAGGER = "tagger"
"""The kind, and the whole name, of the sequence tagger, which has no file: it is trained on the pool."""

LEARNING_KINDS = frozenset({"reader", TAGGER})
"""Kinds of voices that learn from the pool."""


@dataclass(frozen=True, slots=True)
class VoiceSpec:
    """A voice's model as the user named it.

    Attributes:
        kind: one of `VOICE_FORMS`, or `TAGGER`.
        target: a folder, a file, or the name of an installed package; of the tagger, its name.
    """

    kind: str
    target: str

    @property
    def path(self) -> Path:
        """The target as a path."""
        return Path(self.target).expanduser()

    @property
    def name(self) -> str:
        """Short, for votes and reports."""
        if self.kind == TAGGER:
            return TAGGER
        return self.path.stem if self.kind == "patterns" else real_path(self.path).name


def parse_voice(text: str) -> VoiceSpec:
    """What the name of a voice's model refers to.

    >>> parse_voice("spacy:en_core_web_sm")
    VoiceSpec(kind='spacy', target='en_core_web_sm')

    Raises:
        ConfigError: nothing follows the kind.
        UnknownNameError: there is no such kind; the message lists the forms.
    """
    if text == BUNDLED_READER.name:
        return VoiceSpec("reader", str(BUNDLED_READER))
    if text == TAGGER:
        return VoiceSpec(TAGGER, TAGGER)
    kind, _, target = text.partition(":")
    if kind not in VOICE_FORMS or ":" not in text:
        raise UnknownNameError("voice", text, (BUNDLED_READER.name, TAGGER, *VOICE_FORMS.values()))
    if not target.strip():
        raise ConfigError(f"{text} names no model; write {VOICE_FORMS[kind]}")
    return VoiceSpec(kind, target.strip())
