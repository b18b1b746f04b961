"""The learned combiner; one door: `Stacking.judge`."""
