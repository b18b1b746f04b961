"""Which KV cache a prompt goes to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from entsemble.backends.llamacpp import _Slots


def test_a_prompt_that_fails_takes_no_slot_from_another_sentence() -> None:
    slots = _Slots(2)

    def ask(prompt: str, *, refused: bool = False) -> tuple[int, bool]:
        with slots.taken_for(prompt) as told:
            if refused:
                raise RuntimeError("too long")
        return told

    with ThreadPoolExecutor(1) as other:
        assert other.submit(ask, "b").result() == (0, False)
        with pytest.raises(RuntimeError):
            ask("a, much too long", refused=True)
        assert ask("a") == (1, False)
        assert other.submit(ask, "b goes on").result() == (0, True)
        assert ask("a goes on") == (1, True)
        assert ask("a") == (1, False)  # the same question begins afresh


def test_each_sum_of_adapters_goes_on_in_a_slot_of_its_own() -> None:
    slots = _Slots(3)

    def ask(prompt: str, *scales: float) -> tuple[int, bool]:
        with slots.taken_for(prompt, scales) as told:
            return told

    asked = [ask("a", 0, 0), ask("a", 1, 0), ask("a", 0, 1)]
    assert asked == [(0, False), (1, False), (2, False)], "none takes what another has read"
    goes_on = [ask("a goes on", 0, 0), ask("a goes on", 1, 0), ask("a goes on", 0, 1)]
    assert goes_on == [(0, True), (1, True), (2, True)]
    assert ask("b", 1, 0) == (1, False), "the next sentence is read where the last one was"
    assert ask("a goes on and on", 0, 0) == (0, True)
