"""SaM on the label reader: experts for domains as low-rank differences, selected and merged (arXiv 2506.22813)."""
