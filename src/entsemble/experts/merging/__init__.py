"""Merging adapters: pure functions over the changes that they make."""
