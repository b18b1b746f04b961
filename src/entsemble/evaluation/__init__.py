"""How good an answer is: counts, matching, intervals, calibration, and the report."""
