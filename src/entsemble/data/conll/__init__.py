"""The CoNLL family: one token a line, tags in a column."""
