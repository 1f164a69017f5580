"""Metrics of how good HDR is (`pu21`, `ssim`, `itp`, `stops`, `jod`) and how steady (`flicker`)."""
