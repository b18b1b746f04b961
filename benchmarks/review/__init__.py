"""What corrections are worth: sentences that a reviewer signs off, and the texts that are extracted afterwards."""
