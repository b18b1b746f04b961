"""Distillation: a small, fast model trained on the ensemble's annotations."""
