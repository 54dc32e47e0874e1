"""A trained run on the Hub: the copy that is published."""
