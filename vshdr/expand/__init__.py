"""The Expander: one model on one device, with batches and tiles."""
