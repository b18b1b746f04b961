"""Grammar-constrained decoding for transformers models, by llguidance."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from entsemble._lib.optional import require
from entsemble.errors import BadReplyError

_ROOT_RULE = re.compile(r"^\s*root\s*::=", re.MULTILINE)
_SINGLE_RULE = "whole-reply"
"""The rule that stands for a whole grammar. llguidance splits a reply into the longest lexemes that any rule other than
the first could have produced, and does not backtrack: after reading the space behind a name as part of the name, it
allows no ` |`. With one rule for everything there is one lexeme, unless the grammar is recursive."""


class Vocabulary:
    """A model's tokens, as grammars need them.

    Args:
        tokenizer: a fast transformers tokenizer.
        end_token_ids: tokens that end a text.

    Raises:
        MissingExtraError: llguidance is not installed.
        ValueError: llguidance does not support tokenizers of this kind.
    """

    def __init__(self, tokenizer: Any, end_token_ids: list[int]) -> None:  # noqa: ANN401 - untyped library
        hf = require("llguidance.hf", "experts", "grammars for a transformers model")
        self._tokens = hf.from_tokenizer(tokenizer, eos_token=end_token_ids or None)

    def constraint(self, grammar: str) -> GrammarConstraint:
        """The constraint of a reply that has not begun.

        Raises:
            ValueError: it is not a valid GBNF grammar.
        """
        from llguidance import LLMatcher
        from llguidance.gbnf_to_lark import gbnf_to_lark

        try:
            lark = gbnf_to_lark(f"root ::= {_SINGLE_RULE}\n{_ROOT_RULE.sub(f'{_SINGLE_RULE} ::=', grammar)}")
        except Exception as error:  # the library raises no narrower one
            raise ValueError(f"not a valid grammar: {error}") from error
        matcher = LLMatcher(self._tokens, LLMatcher.grammar_from_lark(lark))
        if matcher.is_error():
            raise ValueError(f"not a valid grammar: {matcher.get_error()}")
        return GrammarConstraint(matcher)


class GrammarConstraint:
    """The state of one reply in its grammar."""

    def __init__(self, matcher: Any) -> None:  # noqa: ANN401 - untyped library
        self._matcher = matcher

    @property
    def is_complete(self) -> bool:
        """Whether no token may follow."""
        return bool(self._matcher.is_stopped())

    def next_token(self, logits: Any) -> int:  # noqa: ANN401 - a tensor
        """The most probable token that the grammar allows; advances the state by it.

        Args:
            logits: of the next token [vocabulary].

        Raises:
            BadReplyError: llguidance failed, for instance because the grammar is too large.
        """
        token = int(logits.argmax())
        if not self._matcher.validate_tokens([token]):
            bitmask = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
            allowed_tokens = np.flatnonzero(np.unpackbits(bitmask, bitorder="little")[: len(logits)])
            if not allowed_tokens.size:
                raise BadReplyError("the grammar allows none of the model's tokens here")
            token = int(allowed_tokens[int(logits[allowed_tokens].argmax())])
        self._matcher.consume_token(token)
        if self._matcher.is_error():  # it raises nothing, and would pass for the end of the reply
            raise BadReplyError(f"the grammar cannot be followed: {self._matcher.get_error()}")
        return token
