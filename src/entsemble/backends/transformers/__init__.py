"""Models of Hugging Face transformers in this process: batched, with adapters and exact choices.

Only what this package exports is used elsewhere. It relies on internals of transformers that may change with any major
version, so the extra `experts` has an upper bound, and a contract test checks that they are still there:

- `DynamicCache.update(keys, values, layer_index)` is all that a model calls of a cache when it is given attention masks
  and positions;
- `cache_utils.get_layer_types_and_kwargs(config)` names each layer's kind and its sliding window;
- a model accepts a dict of attention masks by kind of layer, and `logits_to_keep`.
"""

from entsemble.backends.transformers.loader import load_model
from entsemble.backends.transformers.model import TransformersModel, TransformersOptions

__all__ = ["TransformersModel", "TransformersOptions", "load_model"]
