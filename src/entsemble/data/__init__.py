"""Documents in and out: readers, writers, the tag codec, detokenised text and sentence windows."""
