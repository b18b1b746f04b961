"""The CoNLL family: one token per line, tags in columns."""
