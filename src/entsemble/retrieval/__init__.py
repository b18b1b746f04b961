"""Retrieval of demonstrations: similarities, the index of a pool, and its cache."""
