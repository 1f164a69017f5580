"""Flicker: how much the gain that an expansion adds changes along the motion of the picture."""
