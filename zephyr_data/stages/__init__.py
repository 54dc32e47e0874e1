"""What any step may use: the verbs, and the stages for rules, duplicates, benchmarks and splits."""
