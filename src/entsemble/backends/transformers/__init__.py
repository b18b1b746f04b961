"""transformers models in this process: batches, adapters, exact choices.

Other packages use only what this one exports. It relies on internals of transformers that may change with any major
version, so the extra `experts` has an upper bound, and `tests/backends/transformers/test_internals.py` checks them:

- `DynamicCache.update(keys, values, layer_index)` is all that a model calls of a cache when it is given attention masks
  and positions;
- `cache_utils.get_layer_types_and_kwargs(config)` names each layer's kind and its sliding window;
- a model accepts a dict of attention masks by kind of layer, and `logits_to_keep`.
"""

from entsemble.backends.transformers.loader import load_model
from entsemble.backends.transformers.model import TransformersModel, TransformersOptions

__all__ = ["TransformersModel", "TransformersOptions", "load_model"]
