"""Distillation: a small, fast spaCy pipeline trained on the ensemble's annotations."""
