"""What this machine has, and what the model spends of it."""
