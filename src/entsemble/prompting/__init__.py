"""Prompts: labels in words, templates, rendering, parsing replies, and finding what they name in the text."""
