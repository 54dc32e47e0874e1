"""What a person does with a finished dataset: look at its rows, export them, compare two."""
