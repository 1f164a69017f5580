"""The flow-warped error of log luminance: how much light changes along the motion, and how much of it the expansion
adds.
"""

from __future__ import annotations

import torch

from vshdr.metrics.flicker.change import Change, mean


def warped_error(change: Change) -> dict[str, float]:
    """Return how much the picture itself changes along the motion: the mean of |D X|.

    D X(p) = X(p) - X'(w(p)) is the difference to the frame before at the place w(p) that the pixel came from, in stops
    and in PU21 units; over all pixels that were visible there, and over highlights alone. The warping error of Lai et
    al., "Learning Blind Video Temporal Consistency", ECCV 2018, in absolute values. Grain, waves and moving shadows
    are part of it: compare it with the source's own, or read `excess`.
    """
    return {
        "warped": mean(change.light.abs(), change.weight),
        "warped_highlights": mean(change.light.abs(), change.weight * change.highlight),
        "warped_pu21": mean(change.light_pu21.abs(), change.weight),
        "warped_pu21_highlights": mean(change.light_pu21.abs(), change.weight * change.highlight),
    }


def excess(change: Change) -> dict[str, float]:
    """Return how much the expansion adds to that: the mean of |D X - b D S|, S being the source's light and b the share
    of its changes that the clip has kept (`change.change`).

    For an expansion b is 1, and in stops this is |D G|, the change of the gain G = log2 (HDR / linearised SDR) along
    the motion. It is zero for the source itself, and equals the flicker where a steady clip is multiplied with one.
    Where the source is at its maximum it shows no change, and all change is the expansion's: `beyond_truth` knows
    better.
    """
    return {
        "excess": mean(change.gain.abs(), change.weight),
        "excess_highlights": mean(change.gain.abs(), change.weight * change.highlight),
        "excess_pu21": mean(change.gain_pu21.abs(), change.weight),
        "excess_pu21_highlights": mean(change.gain_pu21.abs(), change.weight * change.highlight),
    }


def beyond_truth(change: Change, truth: Change) -> dict[str, float]:
    """Return how much more the gain changes than it has to: the mean of max(0, |D G| - |D G of the truth|), in stops.

    The truth's own change is what the scene does in light that the source does not show (waves that glitter, things
    that pass before a lamp), and what the followed motion gets wrong. Zero for the truth itself.
    """
    more = (change.gain.abs() - truth.gain.abs()).clamp_min(0.0)
    weight = torch.minimum(change.weight, truth.weight)
    return {
        "beyond_truth": mean(more, weight),
        "beyond_truth_highlights": mean(more, weight * change.highlight),
    }
