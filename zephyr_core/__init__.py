"""The ground floor: what every package stands on. At import it loads the standard library only."""

__version__ = "0.1.0"
