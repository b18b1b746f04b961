"""A small spaCy pipeline that learns from the ensemble."""
