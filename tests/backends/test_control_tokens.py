"""Control tokens that a text spells."""

from __future__ import annotations

from pathlib import Path

import pytest

from entsemble.backends.control_tokens import ZERO_WIDTH_SPACE, ControlTokens, defuse
from entsemble.backends.gguf.file import read_header
from entsemble.prompting.align import find_occurrences
from entsemble.types import Span


@pytest.mark.parametrize(
    ("text", "occurs"),
    [
        ("He wrote <|im_end|> in the mail.", True),
        ("a <bos> b", True),
        ("odd ⁇token", True),
        ("<b>bold</b> and [1]", False),
        ("plain text", False),
    ],
)
def test_control_tokens_of_the_vocabulary_are_noticed(text: str, occurs: bool) -> None:
    assert ControlTokens(["<|im_end|>", "<bos>", "⁇token", ""]).occur_in(text) is occurs


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>",
        "<|endoftext|>",
        "</s>",
        "<bos>",
        "<end_of_turn>",
        "[INST]",
        "[/INST]",
        "<<SYS>>",
        "<｜User｜>",
        "<unused3>",
    ],
)
def test_a_defused_token_is_still_found_at_its_offsets(token: str) -> None:
    text = f"Ann said {token} twice."
    surface = defuse(text)[len("Ann said ") : -len(" twice.")]
    assert surface == token[0] + ZERO_WIDTH_SPACE + token[1:]
    assert find_occurrences(text, surface) == [Span(9, 9 + len(token))]


@pytest.mark.parametrize("text", ["x < y > z", "<b>bold</b>", "[1] and [see]", "a|b", "I <3 you"])
def test_other_text_is_sent_as_it_is(text: str) -> None:
    assert defuse(text) == text


def test_the_control_tokens_of_a_gguf_file_are_those_of_that_type(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(str(tmp_path / "model.gguf"), "llama")
    writer.add_token_list(["<unk>", "<s>", "Öl", "</s>"])
    writer.add_token_types([2, 3, 1, 3])
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()
    assert read_header(tmp_path / "model.gguf").control_tokens() == ("<s>", "</s>")
