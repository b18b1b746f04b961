"""SaM: experts for domains, kept, selected and merged (Ding, Wei and Fan, ACL 2025, arXiv 2506.22813)."""
