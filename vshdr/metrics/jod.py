"""ColorVideoVDP: how different two clips look, in just-objectionable differences (JOD).

It is an optional package: `pip install 'vshdr[quality]'`.
"""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.errors import MissingPackageError

DISPLAY = "standard_hdr_linear"
"""ColorVideoVDP's name for the display: UHD, 30 inches, 1500 nits, contrast 1e6, in 10 lux, seen from 0.75 m. It takes
light in nits.
"""
SURROUND = 40.0
"""Nits of the surround: middle grey, a fifth of SDR white."""


def available() -> bool:
    """Return whether ColorVideoVDP is installed."""
    return importlib.util.find_spec("pycvvdp") is not None


class Jod:
    """The predictor of Mantiuk et al., "ColorVideoVDP: A visual difference predictor for image, video and display
    distortions", SIGGRAPH 2024.
    """

    def __init__(self, frame_rate: float, device: torch.device | str = "cpu") -> None:
        """Load the predictor for clips of `frame_rate`. Raise MissingPackageError if ColorVideoVDP is not
        installed.
        """
        if not available():
            raise MissingPackageError("JOD needs ColorVideoVDP: pip install vshdr[quality]")
        import pycvvdp  # pyright: ignore[reportMissingImports]  # an extra that may not be installed

        self._frame_rate = frame_rate
        self._predictor = pycvvdp.cvvdp(display_name=DISPLAY, device=torch.device(device), quiet=True)

    def __call__(self, test: Tensor, reference: Tensor, *, surround: bool = False) -> float:
        """Return the JOD of two clips in nits, T x 3 x H x W, BT.709.

        10 means no visible difference; at 9, 75 % of people see which clip is worse. The predictor adapts to each clip,
        so it hardly notices that one is brighter throughout. With `surround` both get a border of `SURROUND` nits, a
        quarter of their height wide, which anchors the adaptation.
        """
        if surround:
            edge = test.shape[2] // 4
            test, reference = (functional.pad(clip, (edge,) * 4, value=SURROUND) for clip in (test, reference))
        score, _ = self._predictor.predict(
            test,
            reference,
            dim_order="FCHW",
            frames_per_second=self._frame_rate,  # pyright: ignore[reportArgumentType] - any number, its default is 0
        )
        return float(score)
