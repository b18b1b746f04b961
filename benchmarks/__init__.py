"""Measurements of the project; each folder holds its scripts and their committed results."""
