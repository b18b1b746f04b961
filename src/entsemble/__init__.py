"""entsemble: named entities with your own labels, found by several small language models on your own machine.

import entsemble

ner = entsemble.load(labels=["person", "place"], examples="pool.jsonl")
for mention in ner.extract("Ann flew to Oslo.").mentions:
print(mention.text, mention.label, mention.score)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from entsemble.api import evaluate, load
    from entsemble.assembly.progress import ProgressCallbacks
    from entsemble.data.formats import read, write
    from entsemble.ensemble import Ensemble, Run
    from entsemble.errors import (
        BadReplyError,
        ConfigError,
        DataError,
        EntsembleError,
        InUseError,
        MemberDownError,
        MissingExtraError,
        ModelError,
        ModelUnavailableError,
        PromptTooLongError,
        UnknownNameError,
    )
    from entsemble.ner.documents import Extracted, Failed
    from entsemble.settings import Settings
    from entsemble.types import Document, Label, Mention, Span

_MODULES = {
    "entsemble.api": ("evaluate", "load"),
    "entsemble.assembly.progress": ("ProgressCallbacks",),
    "entsemble.data.formats": ("read", "write"),
    "entsemble.ensemble": ("Ensemble", "Run"),
    "entsemble.errors": (
        "BadReplyError",
        "ConfigError",
        "DataError",
        "EntsembleError",
        "InUseError",
        "MemberDownError",
        "MissingExtraError",
        "ModelError",
        "ModelUnavailableError",
        "PromptTooLongError",
        "UnknownNameError",
    ),
    "entsemble.ner.documents": ("Extracted", "Failed"),
    "entsemble.settings": ("Settings",),
    "entsemble.types": ("Document", "Label", "Mention", "Span"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BadReplyError",
    "ConfigError",
    "DataError",
    "Document",
    "Ensemble",
    "EntsembleError",
    "Extracted",
    "Failed",
    "InUseError",
    "Label",
    "MemberDownError",
    "Mention",
    "MissingExtraError",
    "ModelError",
    "ModelUnavailableError",
    "ProgressCallbacks",
    "PromptTooLongError",
    "Run",
    "Settings",
    "Span",
    "UnknownNameError",
    "__version__",
    "evaluate",
    "load",
    "read",
    "write",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a public name, imported on first use
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
