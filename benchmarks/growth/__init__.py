"""How cost grows with the size of an input: documents, labels, sentences of a pool, experts."""
