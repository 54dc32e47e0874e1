"""How preference pairs are laid out, dealt to processes, and scored."""
