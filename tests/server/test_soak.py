"""The server under fifty clients for an hour, or for as long as ENTSEMBLE_SOAK_SECONDS says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from benchmarks.server.soak import soak


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads the figures of processes in /proc")
def test_fifty_clients_and_kills_leave_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    result: dict[str, Any] = soak(50, float(os.environ.get("ENTSEMBLE_SOAK_SECONDS", "3600")))
    with capsys.disabled():
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    assert result["wrong answers"] == 0, result["examples of wrong answers"]
    assert result["lost texts of the pool"] == 0
    assert not result["tracebacks in the log"]
    assert result["longest stop after SIGTERM, s"] < 10
    assert result["extractions"] > 0
    assert result["open files"]["maximum"] < 250
    assert result["threads"]["maximum"] < 100
    assert result["memory MB"]["maximum"] < 500
