"""entsemble: named entities with your own labels, found by several small language models on your own machine."""

__version__ = "0.1.0"
