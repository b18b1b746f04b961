"""Which slot of the engine a prompt is evaluated in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from entsemble.backends.llamacpp.slots import SlotScheduler


def assigned_slot(slots: SlotScheduler, prompt: str, adapter: str | None = None) -> tuple[int, bool]:
    """The slot of a prompt that is answered, and whether it continued there."""
    with slots.assign(prompt, adapter) as assignment:
        return assignment


def fail_in_slot(slots: SlotScheduler, prompt: str) -> None:
    with slots.assign(prompt):
        raise RuntimeError("too long")


def test_a_continued_prompt_goes_to_the_slot_of_its_prefix() -> None:
    slots = SlotScheduler(2)
    assert assigned_slot(slots, "a") == (0, False)
    assert assigned_slot(slots, "a continued") == (0, True)


def test_an_identical_prompt_is_evaluated_anew() -> None:
    slots = SlotScheduler(2)
    assigned_slot(slots, "a")
    assert assigned_slot(slots, "a") == (0, False)


def test_a_failed_prompt_frees_its_slot_for_the_next_one_and_evicts_no_other_thread() -> None:
    slots = SlotScheduler(2)
    with ThreadPoolExecutor(1) as other_thread:
        assert other_thread.submit(assigned_slot, slots, "b").result() == (0, False)
        with pytest.raises(RuntimeError):
            fail_in_slot(slots, "a, much too long")
        assert assigned_slot(slots, "a") == (1, False)
        assert other_thread.submit(assigned_slot, slots, "b continued").result() == (0, True)
        assert assigned_slot(slots, "a continued") == (1, True)


def test_each_adapter_has_slots_of_its_own() -> None:
    slots = SlotScheduler(3)
    adapters = (None, "one", "two")
    started = [assigned_slot(slots, "a", adapter) for adapter in adapters]
    assert started == [(0, False), (1, False), (2, False)]
    continued = [assigned_slot(slots, "a continued", adapter) for adapter in adapters]
    assert continued == [(0, True), (1, True), (2, True)]


def test_a_new_prompt_replaces_a_slot_of_its_own_owner() -> None:
    slots = SlotScheduler(3)
    for adapter in (None, "one", "two"):
        assigned_slot(slots, "a", adapter)
    assert assigned_slot(slots, "b", "one") == (1, False)
    assert assigned_slot(slots, "a continued", None) == (0, True)
