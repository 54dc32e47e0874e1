"""Measured against what a user would write instead, in one run. Never a timed test."""
