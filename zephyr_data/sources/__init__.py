"""Raw input: from what the user names to blocks of rows, and from a block to a table of dialogues."""
