"""The server conforms to its OpenAPI description."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from tests.server.browser import running_server


@pytest.mark.soak
@pytest.mark.usefixtures("scripted", "plain_members")
def test_the_server_conforms_to_its_openapi_description(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="needs schemathesis")
    with running_server(tmp_path) as running:
        arguments = [f"{running.address}openapi.json", "--max-examples", "30", "--seed", "0"]
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", *arguments]
        finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert finished.returncode == 0, finished.stdout
    assert " passed" in finished.stdout
