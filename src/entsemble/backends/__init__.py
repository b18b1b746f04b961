"""Language models and encoders, a folder or file per engine; the model catalogue."""
