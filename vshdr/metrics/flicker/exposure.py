"""Jitter of the overall exposure, at the middle and at the bright end of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vshdr.metrics.flicker.change import Change, Light, Reference

PERCENTILES = (50, 90, 99)


def exposure_jitter(now: Light, reference: Reference, change: Change) -> dict[str, float]:
    """|(P - P') - (Q - Q')| in stops for the percentiles 50, 90 and 99: P and P' of the clip's log luminance in this
    frame and in the one before, Q and Q' of the source's.

    After the global flicker measure for ExpandNet-like video models (the deviation over time of a frame's percentiles
    less that of its input), but taken from frame to frame and over those pixels alone that both frames show: new
    things that a moving camera brings into the picture change nothing. The frame before is sampled at the nearest
    pixel, because interpolation would pull percentiles towards the mean. NaN where the frames share nothing.
    """
    shared = (change.weight > 0.0).numpy()
    if not shared.any():
        return {f"jitter_{percentile}": float("nan") for percentile in PERCENTILES}
    ours = _percentiles(now.stops, shared) - _percentiles(change.before.stops, shared)
    theirs = _percentiles(reference.light.stops, shared) - _percentiles(change.reference_before.stops, shared)
    return {
        f"jitter_{percentile}": float(value)
        for percentile, value in zip(PERCENTILES, np.abs(ours - theirs), strict=True)
    }


def _percentiles(values: Tensor, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.percentile(values.numpy()[where], PERCENTILES)
