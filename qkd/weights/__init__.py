"""Ready weights: where their files lie, and how one becomes a network's state."""
