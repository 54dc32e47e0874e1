"""The vocabulary that the packages share. Standard library only."""

__version__ = "0.1.0"
