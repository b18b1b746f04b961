"""What a grammar lets a model of transformers write, token by token, by llguidance."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from entsemble.errors import BadReplyError, MissingExtraError

_ROOT = re.compile(r"^\s*root\s*::=", re.MULTILINE)
_WHOLE = "whole-reply"
"""The rule that stands for all of a grammar. llguidance cuts a reply into the longest pieces that one of the rules
beside the first could have written, and never thinks again: having read the blank after a name as part of the name, it
lets no ` |` follow. With one rule for everything there is one piece, unless the grammar calls itself."""


class Vocabulary:
    """The tokens of a model, as grammars see them.

    Args:
        tokenizer: a fast tokenizer of transformers.
        ends: tokens that end a text.

    Raises:
        MissingExtraError: llguidance is not installed.
        ValueError: it does not know tokenizers of this kind.
    """

    def __init__(self, tokenizer: Any, ends: list[int]) -> None:  # noqa: ANN401 - untyped library
        try:
            from llguidance import hf
        except ImportError as error:
            raise MissingExtraError("llguidance", "experts", "grammars for a model of transformers") from error
        self._tokens = hf.from_tokenizer(tokenizer, eos_token=ends or None)

    def constraint(self, grammar: str) -> Constraint:
        """A reply that has yet to be written, by a GBNF grammar.

        Raises:
            ValueError: it is no grammar.
        """
        from llguidance import LLMatcher
        from llguidance.gbnf_to_lark import gbnf_to_lark

        try:
            lark = gbnf_to_lark(f"root ::= {_WHOLE}\n{_ROOT.sub(f'{_WHOLE} ::=', grammar)}")
        except Exception as error:  # the library raises no narrower one
            raise ValueError(f"no grammar: {error}") from error
        matcher = LLMatcher(self._tokens, LLMatcher.grammar_from_lark(lark))
        if matcher.is_error():
            raise ValueError(f"no grammar: {matcher.get_error()}")
        return Constraint(matcher)


class Constraint:
    """Where a reply stands in its grammar."""

    def __init__(self, matcher: Any) -> None:  # noqa: ANN401 - untyped library
        self._matcher = matcher

    @property
    def ended(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped())

    def best(self, logits: Any) -> int:  # noqa: ANN401 - a tensor
        """The most probable token that may follow, of the logits [vocabulary]; it is written.

        Raises:
            BadReplyError: llguidance gave up, such as at a grammar that is too large.
        """
        token = int(logits.argmax())
        if not self._matcher.validate_tokens([token]):
            bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
            allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little")[: len(logits)])
            if not allowed.size:
                raise BadReplyError("the grammar lets nothing follow that the model knows")
            token = int(allowed[int(logits[allowed].argmax())])
        self._matcher.consume_token(token)
        if self._matcher.is_error():  # it raises nothing, and would pass for the end of the reply
            raise BadReplyError(f"the grammar cannot be followed: {self._matcher.get_error()}")
        return token
