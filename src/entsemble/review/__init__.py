"""Review: documents, mentions and every correction of them, in one file on disk."""
