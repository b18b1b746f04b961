"""What a grammar lets a transformers model write, token by token."""

from __future__ import annotations

from pathlib import Path

import pytest

from entsemble.backends.transformers import load_model
from entsemble.backends.transformers.loader import Tokenizer
from entsemble.prompting.grammar import build_listing_grammar
from entsemble.prompting.template import load_template

torch = pytest.importorskip("torch", reason="needs the extra 'experts'")
pytest.importorskip("llguidance", reason="needs the extra 'experts'")

TEXT = "The nonetheless notable N. Korea beat none of Nobody's 3-run team, said U.N. men."
GRAMMAR = build_listing_grammar(load_template("zero-shot-1"), TEXT)
VOCABULARY_SIZE = 258


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Tokenizer:
    return load_model(tiny_folder)[1]


def constrained(tokenizer: Tokenizer, preferred_reply: str) -> str:
    """The reply of a model that prefers each token of a text, but another one if the grammar does not allow it."""
    constraint = tokenizer.constraint(GRAMMAR)
    assert constraint is not None
    token_ids: list[int] = []
    for preferred_token in tokenizer.encode(preferred_reply):
        if constraint.is_complete:
            break
        logits = torch.zeros(VOCABULARY_SIZE)
        logits[preferred_token] = 1.0
        token_ids.append(constraint.next_token(logits))
    return tokenizer.decode([], token_ids)


@pytest.mark.parametrize(
    "reply",
    [
        " none",
        " Korea | Nobody",  # a space continues a name, or precedes a separator
        " N. Korea | Korea | N.",
        " nonetheless | notable N | none of",  # they begin like ` none`
        " Nobody's 3-run team, | 3-run | run",
        " of Nobody | U.N. men. | The",
    ],
)
def test_every_list_of_spans_is_allowed(tokenizer: Tokenizer, reply: str) -> None:
    assert constrained(tokenizer, f"{reply}\n") == f"{reply}\n"


@pytest.mark.parametrize("reply", [" Canada\n", " Korea team\n", " Korea |\n", " Nobody | Korea of\n", "Korea\n"])
def test_a_list_with_other_text_is_not_allowed(tokenizer: Tokenizer, reply: str) -> None:
    assert not constrained(tokenizer, reply).startswith(reply)
