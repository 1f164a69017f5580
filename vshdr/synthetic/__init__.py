"""Procedural scenes, whose light and motion are known exactly."""
