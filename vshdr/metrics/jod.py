"""ColorVideoVDP, where it is installed (`pip install cvvdp`): how different two clips look, in just
objectionable differences.
"""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor
from torch.nn import functional

DISPLAY = "standard_hdr_linear"
"""ColorVideoVDP's display: 30 inches of UHD, 1500 nits, black at 1500 / 1e6, 10 lux, seen from 0.75 m; takes
light in nits.
"""
SURROUND = 40.0
"""Nits of the mid-grey surround: a fifth of SDR white."""


def available() -> bool:
    """Is the package there?"""
    return importlib.util.find_spec("pycvvdp") is not None


class Jod:
    """Mantiuk et al., "ColorVideoVDP: A visual difference predictor for image, video and display
    distortions", 2024.
    """

    def __init__(self, frame_rate: float, device: torch.device | str = "cpu") -> None:
        """Raise ModuleNotFoundError where ColorVideoVDP is not installed."""
        import pycvvdp  # pyright: ignore[reportMissingImports]  # an extra that may not be installed

        self._frame_rate = frame_rate
        self._predictor = pycvvdp.cvvdp(display_name=DISPLAY, device=torch.device(device), quiet=True)

    def __call__(self, test: Tensor, reference: Tensor, *, surround: bool = False) -> float:
        """Return JOD of two clips in nits, T x 3 x H x W, BT.709: 10 for equal ones, one less where 75 % of people
        see which is worse.

        The predictor adapts to each clip and so hardly sees that one is brighter throughout; with `surround`
        both have a frame of `SURROUND` nits around them, a quarter of their height wide, that anchors it.
        """
        if surround:
            edge = test.shape[2] // 4
            test, reference = (functional.pad(clip, (edge,) * 4, value=SURROUND) for clip in (test, reference))
        score, _ = self._predictor.predict(test, reference, dim_order="FCHW", frames_per_second=self._frame_rate)
        return float(score)
