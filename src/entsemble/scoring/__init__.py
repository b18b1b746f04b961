"""The learned combiner of votes and pool statistics; the pipeline uses `Scorer` alone."""
