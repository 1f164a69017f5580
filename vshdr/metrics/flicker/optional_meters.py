"""What `vshdr flicker` measures only on request: the equivariance of a model (--model), and ColorVideoVDP (--jod)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.expand.expander import Expander
from vshdr.metrics import jod
from vshdr.metrics.flicker.equivariance import affine_grid, equivariance_error
from vshdr.metrics.flicker.frame_difference import WHITE, downscale
from vshdr.temporal.warp import is_inside, warp

_JOD_FRAMES, _JOD_WIDTH = 48, 480  # the length and width of the pieces that ColorVideoVDP is given


class EquivarianceMeter:
    """The equivariance error of a model on some frames of the source."""

    def __init__(self, model: str) -> None:
        """Load `model`, a name of a network or operator."""
        self._expander = Expander(model, device="cpu")
        self._random = torch.Generator().manual_seed(0)
        self._errors: list[float] = []

    def add(self, linear: Tensor) -> None:
        """Measure one more frame, linearised SDR 1 x 3 x H x W."""
        code = INVERSE_EOTF["bt1886"](linear.clamp(0.0, 1.0))
        height, width = code.shape[2:]
        grid = affine_grid(1, height, width, self._random)
        moved = self._expander.expand(warp(code, grid))
        self._errors.append(equivariance_error(moved, self._expander.expand(code), grid, is_inside(grid)))

    @property
    def mean(self) -> float:
        """Mean error of all frames, in stops."""
        return sum(self._errors) / len(self._errors)


class JodMeter:
    """ColorVideoVDP of a clip against the truth, in pieces of at most 48 frames."""

    def __init__(self, frame_rate: float) -> None:
        """Raise MissingPackageError if ColorVideoVDP is not installed."""
        self._predictor = jod.Jod(frame_rate)
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._sum, self._frames = 0.0, 0

    def add(self, test: Tensor, truth: Tensor) -> None:
        """Add the next frame of both clips, linear light 1 x 3 x H x W, 1.0 = SDR white."""
        self._waiting.append((downscale(test, _JOD_WIDTH) * WHITE, downscale(truth, _JOD_WIDTH) * WHITE))
        if len(self._waiting) == _JOD_FRAMES:
            self.flush()

    def flush(self) -> None:
        """Compare the frames that wait, at a cut or at the end. A single frame is left out."""
        if len(self._waiting) > 1:
            test, truth = (torch.cat(frames) for frames in zip(*self._waiting, strict=True))
            self._sum += self._predictor(test, truth) * len(test)
            self._frames += len(test)
        self._waiting = []

    @property
    def mean(self) -> float:
        """Mean JOD over all frames; NaN if none was compared."""
        return self._sum / self._frames if self._frames else math.nan
