"""Models of Hugging Face transformers in this process."""
