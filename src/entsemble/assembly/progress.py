"""Callbacks that report progress."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from entsemble.backends.download import DownloadCallback, ignore_progress

_LOG = logging.getLogger("entsemble")


@dataclass(frozen=True, slots=True)
class ProgressCallbacks:
    """What to call as models are downloaded and prepared.

    Attributes:
        on_download: called with the bytes of a model that were downloaded or converted so far.
        on_step: called with (what, done, total) of a preparation: of a pool, of a selection of experts.
        on_note: called with what a server does, in one line; by default it is logged.
        on_warning: called with what could not be prepared, and what is done instead; by default it is logged.
    """

    on_download: DownloadCallback = ignore_progress
    on_step: Callable[[str, int, int], None] = lambda *_: None
    on_note: Callable[[str], None] = _LOG.info
    on_warning: Callable[[str], None] = _LOG.warning
