"""What language model, vision tower and expert are made of."""
