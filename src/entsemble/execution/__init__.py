"""How many documents are run: mappers."""
