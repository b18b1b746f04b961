from __future__ import annotations

import time

import pytest

from entsemble._lib import toml


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 100_000,
        "a" + ".a" * 100_000 + " = 1",
        "[a" + ' . "b"' * 100_000 + "]",
    ],
)
def test_what_is_nested_too_deep_is_an_error_and_found_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(toml.TOMLDecodeError):
        toml.loads(text)
    assert time.process_time() - started < 5


def test_long_values_are_read() -> None:
    text = "x" * 1_000_000
    values = {"a": text, "b": "1.2. " * 200, "c.d": "..." * 1000}
    content = "\n".join(f'"{key}" = "{value}"' for key, value in values.items())
    assert toml.loads(content) == values
