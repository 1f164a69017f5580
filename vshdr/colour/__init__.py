"""Colour on tensors: transfer functions, primaries, gain, roll-off, YCbCr."""
