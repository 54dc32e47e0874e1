"""What a run leaves for its users: model, card, curves, suspects."""
