"""Proposers that also vote and need neither a language model nor a pool."""
