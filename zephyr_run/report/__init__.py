"""report.html: one self-contained page about a run, from what is on disk."""
