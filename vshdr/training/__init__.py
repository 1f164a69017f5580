"""Training: the loop, what is minimised, recipes, data and checkpoints."""
