"""Rows to train on, from whatever holds them, in one shape."""
