"""entsemble within other libraries: spaCy, Hugging Face datasets, pandas."""
