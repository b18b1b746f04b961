"""`entsemble serve`: what it says before it serves."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from entsemble.cli.hosting import ServedModelOptions
from tests.conftest import Command

pytest.importorskip("fastapi", reason="needs the extra 'serve'")


def test_a_port_that_is_in_use_is_an_error_before_models_are_loaded(command: Command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = command("serve", "--port", str(port), "--pool", tmp_path / "pool.jsonl")
    assert (result.code, result.out) == (64, "")
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use); is another server running?" in result.messages


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("size=5", "unknown limit 'size'; known: body_bytes, characters_per_document, client_seconds, "),
        ("labels=many", "--limit labels=many: labels must be a positive whole number, as in labels=10"),
    ],
)
def test_a_wrong_limit_is_an_error(command: Command, tmp_path: Path, limit: str, reason: str) -> None:
    result = command("serve", "--limit", limit, "--pool", tmp_path / "pool.jsonl")
    assert result.code == 64
    assert reason in result.messages


def test_thresholds_of_the_server_hold_where_a_request_has_none() -> None:
    options = ServedModelOptions("person,city", None, None, (), (), None, None, ("0.3", "city=0.6"))
    settings_for = options.settings_factory()
    settings = settings_for({"classification": {"threshold": None}})
    assert (settings.classification.threshold, settings.rules.thresholds) == (0.3, {"city": 0.6})
    assert settings_for({"labels": {"dog": ""}}).labels == {"dog": ""}
    assert settings_for({"classification": {"threshold": 0.9}}).classification.threshold == 0.9
