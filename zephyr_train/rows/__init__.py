"""Training rows in one shape, whatever they are stored in."""
