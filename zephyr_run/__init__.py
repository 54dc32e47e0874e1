"""The whole recipe in one command: each step in order, what stands on disk, and the page about it."""
