"""The step `binarize`."""
