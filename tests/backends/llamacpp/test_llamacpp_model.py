"""Which KV cache a prompt goes to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from entsemble.backends.llamacpp.model import _Slots


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


def test_each_adapter_goes_on_in_a_slot_of_its_own() -> None:
    slots = _Slots(3)

    def ask(prompt: str, adapter: str | None) -> tuple[int, bool]:
        with slots.taken_for(prompt, adapter) as told:
            return told

    asked = [ask("a", None), ask("a", "one"), ask("a", "two")]
    assert asked == [(0, False), (1, False), (2, False)], "none takes what another has read"
    goes_on = [ask("a goes on", None), ask("a goes on", "one"), ask("a goes on", "two")]
    assert goes_on == [(0, True), (1, True), (2, True)]
    assert ask("b", "one") == (1, False), "the next sentence is read where the last one was"
    assert ask("a goes on and on", None) == (0, True)
