"""Convert a sentence-transformers BERT to a GGUF file for llama.cpp.

It follows llama.cpp's `conversion/bert.py`: WordPiece tokens in the phantom-space convention, position and segment
embeddings in float32, no pooler.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entsemble._lib.optional import require
from entsemble.backends.gguf.file import file_type
from entsemble.backends.gguf.requantise import KEEP_AS_FLOAT
from entsemble.errors import DataError

if TYPE_CHECKING:
    from gguf import GGUFWriter

_PURPOSE = "converting an encoder"
_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def convert_bert(folder: Path, target: Path, quantisation: str = "f16") -> None:
    """Write a GGUF file for a BERT with mean pooling.

    Args:
        folder: holds `model.safetensors`, `config.json` and `vocab.txt`.
        target: the file to write.
        quantisation: of the matrices; a key of `FILE_TYPES`.

    Raises:
        ConfigError: an unknown quantisation.
        DataError: the model has a tensor that llama.cpp's BERT does not have.
        MissingExtraError: `gguf` or `safetensors` is not installed.
    """
    gguf = require("gguf", "embedded", _PURPOSE)
    safetensors = require("safetensors.numpy", "embedded", _PURPOSE)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(str(target), "bert")
    _add_settings(writer, gguf, config, file_type(quantisation))
    _add_vocabulary(writer, gguf, (folder / "vocab.txt").read_text(encoding="utf-8").split("\n"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, weights in safetensors.load_file(folder / "model.safetensors").items():
        bert_name = name.removeprefix("bert.")
        if bert_name == "embeddings.position_ids" or bert_name.startswith("pooler."):
            continue
        gguf_name = names.get_name(bert_name, try_suffixes=(".weight", ".bias"))
        if gguf_name is None:
            raise DataError(f"llama.cpp's BERT has no tensor for {name!r}", folder / "model.safetensors")
        is_kept_as_float = weights.ndim < 2 or gguf_name in KEEP_AS_FLOAT
        tensor_type = gguf.GGMLQuantizationType["F32" if is_kept_as_float else quantisation.upper()]
        values = gguf.quants.quantize(weights.astype(np.float32, copy=False), tensor_type)
        writer.add_tensor(gguf_name, values, raw_dtype=tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def phantom_space_token(wordpiece: str) -> str:
    """A WordPiece token as llama.cpp spells it.

    >>> phantom_space_token("##ing"), phantom_space_token("in")
    ('ing', '▁in')
    """
    return wordpiece[2:] if wordpiece.startswith("##") else "▁" + wordpiece


def _add_settings(writer: GGUFWriter, gguf: Any, config: Mapping[str, Any], file_type_number: int) -> None:  # noqa: ANN401
    writer.add_name("all-MiniLM-L6-v2" if config["num_hidden_layers"] == 6 else "bert")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_file_type(file_type_number)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_token_type_count(config.get("type_vocab_size", 1))


def _add_vocabulary(writer: GGUFWriter, gguf: Any, lines: Sequence[str]) -> None:  # noqa: ANN401
    wordpieces = [line.rstrip("\r") for line in lines]
    if wordpieces and not wordpieces[-1]:
        wordpieces.pop()
    special = {token: wordpieces.index(token) for token in _SPECIAL_TOKENS}
    token_types = gguf.TokenType
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list([piece if piece in special else phantom_space_token(piece) for piece in wordpieces])
    writer.add_token_types([token_types.CONTROL if piece in special else token_types.NORMAL for piece in wordpieces])
    writer.add_bos_token_id(special["[CLS]"])
    writer.add_eos_token_id(special["[SEP]"])
    writer.add_unk_token_id(special["[UNK]"])
    writer.add_sep_token_id(special["[SEP]"])
    writer.add_pad_token_id(special["[PAD]"])
    writer.add_mask_token_id(special["[MASK]"])
