"""Rows to tokens: made once, kept on disk, found again by what they hang on."""
