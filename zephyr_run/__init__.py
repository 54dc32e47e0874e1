"""The whole recipe in one command: each step in order, what is on disk, and the page about it."""
