"""`entsemble serve` with models that answer from a script, to measure the server and not the models.

    python -m benchmarks.server.scripted [--delay SECONDS] serve --port 0 --pool FILE

Every call of a model takes `--delay`; for a text that contains the word Endless, it takes ten minutes, as one long
computation does that nothing can interrupt.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np

from entsemble import settings
from entsemble.__main__ import main
from entsemble.assembly.model_pool import ModelPool
from entsemble.backends.scripted import ScriptedModel
from entsemble.protocols import Encoder, LanguageModel, Vectors
from entsemble.settings import MemberSettings
from entsemble.types import Choice, Decoding, Reply

LEXICON = {"Oslo": "location", "Bergen": "location", "Ann": "person", "Bob Lee": "person"}
"""All that the models know."""

ENDLESS = "Endless"
_ENDLESS_SECONDS = 600


class SlowModel(ScriptedModel):
    """A scripted model that takes its time."""

    delay_seconds = 0.0

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`."""
        self._wait(prompts)
        return super().generate(prompts, decoding)

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`."""
        self._wait(prompts)
        return super().choose(prompts, options)

    def _wait(self, prompts: Sequence[str]) -> None:
        is_endless = any(ENDLESS in prompt.rpartition("Text: ")[2] for prompt in prompts)
        time.sleep(_ENDLESS_SECONDS if is_endless else self.delay_seconds)


class LengthEncoder:
    """Encodes a text as its length."""

    fingerprint = weights_fingerprint = "scripted: lengths"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder`."""
        angles = np.array([len(text) / 1000 for text in texts], dtype=np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def use_scripted_models(delay_seconds: float) -> None:
    """Replace all models of this process."""
    SlowModel.delay_seconds = delay_seconds

    def language_model(_: ModelPool, member_settings: MemberSettings) -> LanguageModel:
        return SlowModel(member_settings.name or member_settings.model, LEXICON)

    def encoder(_: ModelPool) -> Encoder:
        return LengthEncoder()

    setattr(ModelPool, "language_model", language_model)  # noqa: B010
    setattr(ModelPool, "encoder", encoder)  # noqa: B010
    setattr(settings, "PRESET_WITH_POOL", settings.PRESET_OF_MEMBERS)  # noqa: B010
    setattr(settings, "PRESET_WITHOUT_POOL", settings.PRESET_OF_MEMBERS)  # noqa: B010


if __name__ == "__main__":
    seconds = 0.0
    if sys.argv[1] == "--delay":
        seconds = float(sys.argv[2])
        del sys.argv[1:3]
    use_scripted_models(seconds)
    main()
