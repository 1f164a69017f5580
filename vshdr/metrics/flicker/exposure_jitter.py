"""Jitter of the exposure: how much the middle and the bright end of the picture move from frame to frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vshdr.metrics.flicker.frame_difference import EncodedLuminance, FrameDifference, Reference

PERCENTILES = (50, 90, 99)


def exposure_jitter(now: EncodedLuminance, reference: Reference, difference: FrameDifference) -> dict[str, float]:
    """Return |(P - P') - (Q - Q')| in stops for the percentiles 50, 90 and 99; NaN if the frames share no pixel.

    P and P' are percentiles of the clip's log luminance in this frame and in the one before, Q and Q' the source's.
    The measure follows the global flicker measure for ExpandNet-like video models (the deviation over time of a
    frame's percentiles less that of its input). It is taken from frame to frame, and only over pixels that both frames
    show, so that things which a moving camera brings into the picture change nothing. The frame before is sampled at
    the nearest pixel, because interpolation would pull percentiles towards the mean.
    """
    shared = (difference.weight > 0.0).numpy()
    if not shared.any():
        return {f"jitter_{percentile}": float("nan") for percentile in PERCENTILES}
    clip = _percentiles(now.stops, shared) - _percentiles(difference.before.stops, shared)
    source = _percentiles(reference.luminance.stops, shared) - _percentiles(difference.reference_before.stops, shared)
    return {
        f"jitter_{percentile}": float(value)
        for percentile, value in zip(PERCENTILES, np.abs(clip - source), strict=True)
    }


def _percentiles(values: Tensor, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.percentile(values.numpy()[where], PERCENTILES)
