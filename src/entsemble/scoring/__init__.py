"""The learned combiner of votes and pool statistics, behind `Scorer`."""
