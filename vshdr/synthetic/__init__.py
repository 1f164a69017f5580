"""Scenes of our own, whose light is known."""
