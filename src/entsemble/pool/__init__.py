"""What annotated sentences tell without a language model."""
