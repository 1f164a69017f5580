"""Flow-warped error in log luminance: how much light changes along the motion, and how much the expansion adds."""

from __future__ import annotations

import torch

from vshdr.metrics.flicker.frame_difference import FrameDifference, weighted_mean


def warped_error(difference: FrameDifference) -> dict[str, float]:
    """Return how much the picture itself changes along the motion: the mean of |D X|, in stops and in PU21 units, over
    all pixels and over highlights.

    D X(p) = X(p) - X'(w(p)) is the difference of the luminance X to the frame before, X', at the position w(p) from
    which the pixel came. It is the warping error of Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018,
    with absolute instead of squared values. Grain, waves and moving shadows are part of it: compare it with the
    source's own, or read `excess`.
    """
    luminance, luminance_pu21 = difference.luminance.abs(), difference.luminance_pu21.abs()
    highlights = difference.weight * difference.highlight
    return {
        "warped": weighted_mean(luminance, difference.weight),
        "warped_highlights": weighted_mean(luminance, highlights),
        "warped_pu21": weighted_mean(luminance_pu21, difference.weight),
        "warped_pu21_highlights": weighted_mean(luminance_pu21, highlights),
    }


def excess(difference: FrameDifference) -> dict[str, float]:
    """Return how much flicker the expansion adds: the mean of |D X - b D S|, in stops and in PU21 units, over all
    pixels and over highlights.

    S is the source's luminance, and b the share of its changes that the clip has kept (see `frame_difference`). For an
    expansion b is 1, and in stops this is |D G|, G = log2(HDR / linearised SDR) being the gain. It is zero for the
    source itself. For a steady clip that is multiplied by a flickering factor it is the change of that factor. Where
    the source is at its maximum it shows no change of its own, and all change counts as the expansion's; `beyond_truth`
    is more exact there.
    """
    gain, gain_pu21 = difference.gain.abs(), difference.gain_pu21.abs()
    highlights = difference.weight * difference.highlight
    return {
        "excess": weighted_mean(gain, difference.weight),
        "excess_highlights": weighted_mean(gain, highlights),
        "excess_pu21": weighted_mean(gain_pu21, difference.weight),
        "excess_pu21_highlights": weighted_mean(gain_pu21, highlights),
    }


def beyond_truth(difference: FrameDifference, truth: FrameDifference) -> dict[str, float]:
    """Return how much more the gain changes than the truth's: the mean of max(0, |D G| - |D G of the truth|), in stops.

    The truth's gain changes with what the scene does in light that the source does not show (glittering waves, things
    that pass in front of a lamp) and with errors of the estimated motion. The result is zero for the truth itself.
    """
    more = (difference.gain.abs() - truth.gain.abs()).clamp_min(0.0)
    weight = torch.minimum(difference.weight, truth.weight)
    return {
        "beyond_truth": weighted_mean(more, weight),
        "beyond_truth_highlights": weighted_mean(more, weight * difference.highlight),
    }
