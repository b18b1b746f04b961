"""What is compared, and where the result is stored."""

from __future__ import annotations

from pathlib import Path

RESULT = Path(__file__).parent / "results" / "sam.json"
READER, UNIFIED, HALF, ALL, NEAREST = "reader", "unified", "half unified", "all", "nearest"
DOMAIN, SAMPLED, MEAN, UNION = "domain", "sampled", "SaM", "SaM by union"
OWN = "own"
"""The expert of a domain, on sentences of its own domain."""

SINGLE = (READER, UNIFIED, HALF, ALL, NEAREST, DOMAIN, SAMPLED)
"""Systems that are one model."""
