"""A ray-traced harbour at sunset, with its linear light, a moving camera and exact optical flow."""
