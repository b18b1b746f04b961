"""What several packages share, and nothing of the subject: text, files, numbers, optional imports."""
