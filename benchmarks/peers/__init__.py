"""entsemble beside what others offer, on the same models, sentences and examples."""
