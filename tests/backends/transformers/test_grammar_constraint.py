"""Grammars for models of transformers: what a model that wants to write something may write, letter by letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entsemble.prompting.grammar import build_listing_grammar
from entsemble.prompting.template import load_template

torch = pytest.importorskip("torch", reason="needs the extra 'experts'")
pytest.importorskip("llguidance", reason="needs the extra 'experts'")

TEXT = "The nonetheless notable N. Korea beat none of Nobody's 3-run team, said U.N. men."
LETTERS = 258


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Any:
    from entsemble.backends.transformers import load_model

    return load_model(tiny_folder)[1]


def written(tokenizer: Any, grammar: str, wish: str) -> str:
    """What comes of a wish: each letter of it, or another one where that may not follow."""
    constraint = tokenizer.constraint(grammar)
    ids: list[int] = []
    for wanted in tokenizer.bare(wish):
        if constraint.ended:
            break
        logits = torch.zeros(LETTERS)
        logits[wanted] = 1.0
        ids.append(constraint.best(logits))
    return str(tokenizer.text([], ids))


@pytest.mark.parametrize(
    "reply",
    [
        " none",
        " Korea | Nobody",  # a blank goes on with a name, or comes before a separator
        " N. Korea | Korea | N.",
        " nonetheless | notable N | none of",  # they begin as ` none` does
        " Nobody's 3-run team, | 3-run | run",
        " of Nobody | U.N. men. | The",
    ],
)
def test_every_list_of_spans_may_be_written(tokenizer: Any, reply: str) -> None:
    assert written(tokenizer, build_listing_grammar(load_template("zero-shot-1"), TEXT), f"{reply}\n") == f"{reply}\n"


@pytest.mark.parametrize("wish", [" Canada\n", " Korea team\n", " Korea |\n", " Nobody | Korea of\n", "Korea\n"])
def test_what_does_not_stand_in_the_text_may_not(tokenizer: Any, wish: str) -> None:
    assert not written(tokenizer, build_listing_grammar(load_template("zero-shot-1"), TEXT), wish).startswith(wish)
