"""entsemble in other libraries: spaCy, Hugging Face datasets, pandas."""
