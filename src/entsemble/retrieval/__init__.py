"""Which annotated sentences to show: span and sentence similarity, and the index of a pool."""
