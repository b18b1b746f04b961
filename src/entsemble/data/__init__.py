"""Readers and writers of documents in all formats, and sentence splitting."""
