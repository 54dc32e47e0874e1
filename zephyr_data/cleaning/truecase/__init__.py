"""Truecasing: find badly cased turns and restore them with the `truecase` package's statistics. Case only."""
