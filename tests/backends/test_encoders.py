from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from entsemble.backends import encoders


def test_the_embedded_encoder_has_one_thread_so_that_none_waits_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = SimpleNamespace(cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())
    monkeypatch.setattr(encoders, "Engine", lambda _, configure: configure(parameters))
    encoders.LlamaCppEncoder(Path("minilm.gguf"), fingerprint="f")
    assert (parameters.cpuparams.n_threads, parameters.cpuparams_batch.n_threads) == (1, 1)
