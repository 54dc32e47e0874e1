"""Rows to tokens: built once, kept on disk, and found again by what they depend on."""
