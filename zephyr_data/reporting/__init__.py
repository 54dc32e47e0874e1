"""Reports on a dataset, for people to read."""
