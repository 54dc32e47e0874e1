"""A dataset on the Hub: the copy that is published, and how it comes back."""
