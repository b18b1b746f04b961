"""Threads of llama.cpp that wait for each other do not keep the cores busy."""

from __future__ import annotations

import os

import pytest

from entsemble.backends.llamacpp import engine


@pytest.mark.parametrize(
    ("chosen", "at_import"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_threads_spin_briefly_unless_the_user_chose_how_they_wait(
    monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str], at_import: str | None
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    monkeypatch.setattr(engine, "require", lambda *_: os.environ.get("GOMP_SPINCOUNT"))
    assert engine.import_library() == at_import
    assert dict(os.environ) == before
