"""What a run costs, and how much of that is the engine's own work."""
