"""Language models and encoders: a folder or file per engine, and the catalogue of models to download."""
