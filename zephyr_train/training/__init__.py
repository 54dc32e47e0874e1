"""What runs in the worker processes, and what they are checked for."""
