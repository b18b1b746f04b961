"""Language models and encoders: one file an engine, and the catalogue of what can be pulled."""
