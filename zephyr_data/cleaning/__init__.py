"""The step `clean-ultrachat`."""
