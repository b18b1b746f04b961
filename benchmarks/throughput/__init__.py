"""What a run costs, and what of it is the engine's own work."""
