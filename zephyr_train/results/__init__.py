"""What a run leaves for people: model, card, curves, suspects."""
