"""Prompts: templates, rendering, readable label names, parsing and alignment of replies."""
