"""How good and how steady HDR is."""
