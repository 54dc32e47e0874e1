"""One run of a step: reading, stages, writing, checking."""
