"""Flicker of rendered clips, whose truth and optical flow are known exactly, in stops.

Arguments throughout: `test` and `truth` are linear light T x 3 x H x W. `grid`, T x H x W x 2, says where each pixel
was in the frame before (for `warp`). `mask`, T x 1 x H x W bool, says where it was seen there and counts. Nothing is
known before the first frame, so its entries are not used. Results are NaN where the mask selects nothing.
"""

from __future__ import annotations

from torch import Tensor

from vshdr.metrics.stops import stops
from vshdr.temporal.warp import warp


def excess_flicker(test: Tensor, truth: Tensor, grid: Tensor, mask: Tensor) -> float:
    """Return the mean of max(0, |D test| - |D truth|) in stops per frame, D being the change along the flow.

    It is the flow-warped error of Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, less what the
    scene itself does (waves, aliasing).
    """
    excess = _change(test, grid).abs() - _change(truth, grid).abs()
    return float(excess.clamp_min(0.0)[mask[1:]].mean())


def global_pumping(test: Tensor, truth: Tensor, grid: Tensor, mask: Tensor) -> float:
    """Return how far the whole picture brightens or darkens from frame to frame, in stops: the mean over frames of
    |mean over pixels of (D test - D truth)|. Frames without a pixel in `mask` are left out.
    """
    drift = _change(test, grid) - _change(truth, grid)
    means = [frame[seen].mean().abs() for frame, seen in zip(drift, mask[1:], strict=True) if seen.any()]
    return float(sum(means) / len(means)) if means else float("nan")


def still_instability(outputs: Tensor, mask: Tensor) -> float:
    """Return the mean |difference| in stops between successive outputs, T x 3 x H x W, of one still frame that was
    given fresh noise and compressed anew each time.
    """
    return float(stops(outputs).diff(dim=0).abs()[mask[1:]].mean())


def _change(linear: Tensor, grid: Tensor) -> Tensor:
    log_light = stops(linear)
    return log_light[1:] - warp(log_light[:-1], grid[1:])
