"""Candidates, ballots, and the rules that turn ballots into verdicts."""
