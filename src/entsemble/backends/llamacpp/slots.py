"""Which of the engine's KV-cache slots a prompt is evaluated in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Owner = tuple[int, str | None]
"""A thread, and the adapter that is applied."""


@dataclass(slots=True)
class _Slot:
    """One KV cache of the engine.

    Attributes:
        number: its number in the engine.
        anchor: the prompt that it was started with; prompts that begin with it may continue here.
        owner: the thread that started it, since each sentence is processed by one thread and its copy in another must
            be evaluated anew; and the adapter that it was evaluated with.
        last_used: on a counter, so that the least recently used slot is replaced first.
        is_busy: whether a prompt is being evaluated in it.
    """

    number: int
    anchor: str | None = None
    owner: Owner = (0, None)
    last_used: int = 0
    is_busy: bool = False


class SlotScheduler:
    """Assigns prompts to slots; threads may share it.

    Args:
        slot_count: slots of the engine.
    """

    def __init__(self, slot_count: int) -> None:
        self._slots = [_Slot(number) for number in range(slot_count)]
        self._use_counter = 0
        self._slot_freed = threading.Condition()

    @contextmanager
    def assign(self, prompt: str, adapter: str | None = None) -> Iterator[tuple[int, bool]]:
        """Reserve a slot while the block runs; waits while no suitable slot is free.

        Args:
            prompt: to be evaluated.
            adapter: that it is evaluated with.

        Yields:
            The slot's number, and whether it holds a prefix of the prompt.
        """
        owner = threading.get_ident(), adapter
        with self._slot_freed:
            while (slot := self._select(prompt, owner)) is None:
                self._slot_freed.wait()
            is_continued = slot in self._continuable_slots(prompt, owner)
            if not is_continued:
                slot.anchor, slot.owner = prompt, owner
            self._use_counter += 1
            slot.last_used, slot.is_busy = self._use_counter, True
        try:
            yield slot.number, is_continued
        except BaseException:
            slot.anchor, slot.last_used = None, 0  # reuse it first, rather than a slot that a prompt may continue
            raise
        finally:
            with self._slot_freed:
                slot.is_busy = False
                self._slot_freed.notify_all()

    def _continuable_slots(self, prompt: str, owner: Owner) -> list[_Slot]:
        """The owner's slots that hold a proper prefix of `prompt`; an identical prompt is evaluated anew."""
        return [
            slot
            for slot in self._slots_of(owner, self._slots)
            if prompt.startswith(slot.anchor or "") and prompt != slot.anchor
        ]

    def _select(self, prompt: str, owner: Owner) -> _Slot | None:
        """The slot for a prompt; `None` if it has to wait.

        A new prompt replaces a slot of its own owner, if there is a free one. So with at least one slot per owner, it
        never evicts a slot that another owner may still continue.
        """
        if continuable := self._continuable_slots(prompt, owner):
            longest = max(continuable, key=lambda slot: (len(slot.anchor or ""), slot.last_used))
            return None if longest.is_busy else longest
        free_slots = [slot for slot in self._slots if not slot.is_busy]
        candidates = self._slots_of(owner, free_slots) or free_slots
        return min(candidates, key=lambda slot: slot.last_used, default=None)

    @staticmethod
    def _slots_of(owner: Owner, slots: list[_Slot]) -> list[_Slot]:
        return [slot for slot in slots if slot.anchor is not None and slot.owner == owner]
