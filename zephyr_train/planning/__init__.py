"""What a run will do and need, worked out beforehand."""
