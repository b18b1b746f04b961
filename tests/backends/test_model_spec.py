"""What a model's name in the settings refers to."""

from __future__ import annotations

from pathlib import Path

import pytest

from entsemble.backends.catalogue import HubSource, find_card
from entsemble.backends.model_spec import ModelSpec, ServerModel, parse_model
from entsemble.errors import ConfigError, UnknownNameError


def test_a_catalogue_name_refers_to_its_card() -> None:
    assert parse_model("gemma-3-270m") == ModelSpec("gemma-3-270m", find_card("gemma-3-270m"))


def test_a_gguf_path_refers_to_the_file() -> None:
    assert parse_model("models/My.Model-Q8_0.gguf") == ModelSpec("My.Model-Q8_0", Path("models/My.Model-Q8_0.gguf"))


def test_a_folder_is_a_model_of_transformers(tmp_path: Path) -> None:
    assert parse_model(str(tmp_path)) == ModelSpec(tmp_path.name, tmp_path)


def test_a_hub_name_refers_to_a_file_or_a_whole_repository() -> None:
    source = HubSource("o/r-GGUF", "sub/m-Q4_K_M.gguf", "abc")
    assert parse_model("hf:o/r-GGUF:sub/m-Q4_K_M.gguf@abc") == ModelSpec("m-Q4_K_M", source)
    assert parse_model("hf:o/r") == ModelSpec("r", HubSource("o/r", ""))


def test_a_server_name_may_contain_slashes_and_colons() -> None:
    assert parse_model("openai:org/model:free").source == ServerModel("org/model:free")


@pytest.mark.parametrize("text", ["hf:", "hf:owner:file", "hf:owner/repo:", "hf:a/b/c:d.gguf", "openai:", "openai:  "])
def test_a_form_that_is_not_valid_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_model(text)


@pytest.mark.parametrize("text", ["", "smollm", "model.bin", "gguf"])
def test_an_unknown_name_is_an_error_that_lists_the_catalogue_and_the_forms(text: str) -> None:
    with pytest.raises(UnknownNameError, match=r"(?s)gemma-3-270m.*hf:OWNER/REPO\[:FILE\].*openai:MODEL"):
        parse_model(text)
