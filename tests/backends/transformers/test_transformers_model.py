"""The language model of the transformers engine, on a tiny random Llama."""

from __future__ import annotations

import gc
import math
import re
import weakref
from pathlib import Path

import pytest

from entsemble.backends.transformers import TransformersModel
from entsemble.backends.transformers.batcher import StepInput
from entsemble.backends.transformers.scheduler import StepLimits
from entsemble.errors import BadReplyError, ModelUnavailableError, PromptTooLongError
from entsemble.protocols import AdaptableModel
from entsemble.types import Decoding
from tests.backends.transformers.tiny import CONTEXT, OPTIONS, PROMPT, load_tiny

pytest.importorskip("peft", reason="needs the extra 'experts'")

LISTING = 'root ::= (" none" | span (" |" span)*) "\\n"\nspan ::= " " w0\nw0 ::= "Ann" (" " w1)?\nw1 ::= "left"'


@pytest.fixture(scope="module")
def model(tiny_folder: Path, tiny_adapters: dict[str, Path]) -> TransformersModel:
    return load_tiny(tiny_folder, adapters=tiny_adapters)


def test_it_is_an_adaptable_model(model: TransformersModel) -> None:
    assert isinstance(model, AdaptableModel)


def test_a_closed_model_is_freed(tiny_folder: Path) -> None:
    model = load_tiny(tiny_folder)
    runner = weakref.ref(model._runner)
    model.choose([PROMPT], OPTIONS)
    model.close()
    model.close()
    gc.collect()
    assert runner() is None
    with pytest.raises(ModelUnavailableError, match="closed"):
        model.choose([PROMPT], OPTIONS)


def test_a_choice_is_the_product_over_tokens_normalised_over_siblings(model: TransformersModel) -> None:
    log_probabilities = model.choose([PROMPT], OPTIONS)[0].log_probabilities
    assert sum(map(math.exp, log_probabilities)) == pytest.approx(1)
    [first_token] = model.choose([PROMPT], [" a", " b"])
    assert log_probabilities[0] == pytest.approx(first_token.log_probabilities[0], abs=1e-4)
    [second_token] = model.choose([PROMPT + " b"], [" c", " d"])
    product = first_token.log_probabilities[1] + second_token.log_probabilities[0]
    assert log_probabilities[1] == pytest.approx(product, abs=1e-4)


@pytest.mark.parametrize("first_adapters", [(("two", 1.0),), ()], ids=["a longer prompt", "other adapters"])
def test_the_longest_waiting_request_is_passed_over_up_to_the_starvation_limit(
    tiny_folder: Path, tiny_adapters: dict[str, Path], first_adapters: tuple[tuple[str, float], ...]
) -> None:
    limits, active = StepLimits(starvation_limit=4), (("two", 1.0),)
    runner = load_tiny(tiny_folder, slots=40, adapters=tiny_adapters, limits=limits)._runner
    others = [StepInput(active, [5, number]) for number in range(3)]
    runner.step(others)
    first = StepInput(first_adapters, [1] * (200 if first_adapters else 3))
    served: list[list[int]] = []
    while not served or 0 not in served[-1]:
        others = [StepInput(active, [*other.token_ids, 6]) for other in others]
        served.append([index for index, _ in runner.step([first, *others])])
    assert served == [*([[1, 2, 3]] * limits.starvation_limit), [0]]


def test_a_reply_follows_its_grammar(model: TransformersModel) -> None:
    """Without it, a random model writes anything."""
    [free] = model.generate([PROMPT], Decoding(40))
    [reply] = model.generate([PROMPT], Decoding(40, grammar=LISTING))
    assert not re.fullmatch(r" none\n?| Ann( left)?( \| Ann( left)?)*( \|?)?.*", free.text, re.DOTALL)
    items = reply.text.removesuffix("\n").split(" |")
    assert items == [" none"] or all(" Ann left".startswith(item) for item in items), reply
    assert items[0] in (" none", " Ann", " Ann left")


def test_a_reply_ends_with_its_grammar(model: TransformersModel) -> None:
    [reply] = model.generate([PROMPT], Decoding(40, grammar='root ::= " none" "\\n"'))
    assert (reply.text, reply.finished, reply.usage.generated_tokens) == (" none\n", True, 6)


def test_an_invalid_grammar_is_an_error(model: TransformersModel) -> None:
    with pytest.raises(BadReplyError, match=r"tiny.*grammar"):
        model.generate([PROMPT], Decoding(40, grammar="root ::= nowhere"))


def test_a_prompt_that_leaves_no_room_for_the_reply_is_too_long(model: TransformersModel) -> None:
    with pytest.raises(PromptTooLongError, match=rf"tiny.*{CONTEXT}"):
        model.generate(["x" * (CONTEXT - 6)], Decoding(20))


def test_a_choice_needs_room_for_all_but_the_last_token_of_the_options(model: TransformersModel) -> None:
    [choice] = model.choose(["x" * (CONTEXT - 2)], [" ab", " ac"])
    assert sum(map(math.exp, choice.log_probabilities)) == pytest.approx(1)
    with pytest.raises(PromptTooLongError, match=rf"tiny.*{CONTEXT}"):
        model.choose(["x" * (CONTEXT - 1)], [" ab", " ac"])
