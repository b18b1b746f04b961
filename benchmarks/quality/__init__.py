"""How well entities are found."""
