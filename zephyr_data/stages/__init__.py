"""What any step may use: the verbs, and stages of rules, duplicates, benchmarks and splits."""
