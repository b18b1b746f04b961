"""The user's word lists and regular expressions, as a model that finds spans."""

from entsemble.backends.patterns.file import LabelPatterns, Pattern, PatternFile, read_patterns
from entsemble.backends.patterns.tagger import PatternTagger

__all__ = ["LabelPatterns", "Pattern", "PatternFile", "PatternTagger", "read_patterns"]
