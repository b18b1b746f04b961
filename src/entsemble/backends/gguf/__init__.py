"""GGUF files: reading, requantisation, encoders and LoRA adapters."""
