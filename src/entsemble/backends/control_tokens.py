"""Control tokens, such as `<|im_end|>`, that a text happens to spell.

In a prompt they would end a turn or begin a text. A text is data, so an engine must read them as ordinary characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_BRACKETED = re.compile(r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\]")
"""What nearly all control tokens look like."""

ZERO_WIDTH_SPACE = "\u200b"

_COMMON = re.compile(
    r"<\|[^<>|\s]{1,40}\|>"
    r"|<\uff5c[^<>\s]{1,40}\uff5c>"
    r"|</?s>|<(?:bos|eos|pad|unk|mask|sop|eop)>|</?(?:start|end)_of_(?:turn|image|text)>"
    r"|<unused\d+>|\[/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>|\[(?:gMASK|sMASK|MASK|CLS|SEP)\]",
    re.IGNORECASE,
)
"""The control tokens of common model families, for servers whose vocabulary is not known."""


class ControlTokens:
    """The control tokens of one vocabulary.

    Args:
        tokens: as the vocabulary spells them.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        spelled = frozenset(token for token in tokens if token)
        self._bracketed = frozenset(token for token in spelled if _BRACKETED.fullmatch(token))
        self._others = tuple(sorted(spelled - self._bracketed))

    def occur_in(self, text: str) -> bool:
        """Whether the text spells one of them."""
        if any(match[0] in self._bracketed for match in _BRACKETED.finditer(text)):
            return True
        return any(token in text for token in self._others)


def defuse(text: str) -> str:
    """The text with a zero-width space behind the first character of what common models read as a control token.

    For servers, which tokenise by themselves. Replies are aligned with the text regardless of zero-width characters, so
    offsets stay those of the text.
    """
    return _COMMON.sub(lambda match: match[0][0] + ZERO_WIDTH_SPACE + match[0][1:], text)
