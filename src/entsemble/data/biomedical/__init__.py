"""Formats of biomedical corpora: BioC and PubTator."""
