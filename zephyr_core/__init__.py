"""The ground floor that every package builds on. Importing it loads only the standard library."""

__version__ = "0.1.0"
