"""A ray-traced harbour at sunset: its light, a moving camera and the exact optical flow."""
