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
