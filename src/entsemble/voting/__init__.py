"""Candidates, ballots on them, and the rules that turn ballots into a verdict."""
