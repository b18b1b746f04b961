"""GGUF files: the container, requantisation, LoRA adapters."""
