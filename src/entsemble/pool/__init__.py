"""Statistics of annotated sentences that need no language model."""
