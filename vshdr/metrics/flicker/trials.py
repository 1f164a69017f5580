"""What `vshdr flicker` measures beside flicker, where it is asked to: a model's equivariance, and ColorVideoVDP."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.errors import MissingPackageError
from vshdr.expand.expander import Expander
from vshdr.metrics import jod
from vshdr.metrics.flicker import equivariance as stability
from vshdr.metrics.flicker.change import WHITE, averaged_down

_JOD_FRAMES, _JOD_WIDTH = 48, 480  # what ColorVideoVDP takes at a time


class ModelTrial:
    """The equivariance error of a model, on some frames of the source."""

    def __init__(self, model: str) -> None:
        self._expander = Expander(model, device="cpu")
        self._random = torch.Generator().manual_seed(0)
        self._errors: list[float] = []

    def add(self, linear: Tensor) -> None:
        code = INVERSE_EOTF["bt1886"](linear.clamp(0.0, 1.0))
        grid = stability.affine_grid(1, *code.shape[2:], self._random)
        moved = self._expander.expand(stability.warp(code, grid))
        inside = stability.looks_inside(grid)
        self._errors.append(stability.equivariance_error(moved, self._expander.expand(code), grid, inside))

    @property
    def mean(self) -> float:
        return sum(self._errors) / len(self._errors)


class JodMeter:
    """ColorVideoVDP of a clip against the truth, in pieces of at most two seconds."""

    def __init__(self, frame_rate: float) -> None:
        if not jod.available():
            raise MissingPackageError("--jod needs ColorVideoVDP: pip install vshdr[quality]")
        self._predictor = jod.Jod(frame_rate)
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._sum, self._frames = 0.0, 0

    def add(self, test: Tensor, truth: Tensor) -> None:
        self._waiting.append(tuple(averaged_down(light, _JOD_WIDTH) * WHITE for light in (test, truth)))
        if len(self._waiting) == _JOD_FRAMES:
            self.flush()

    def flush(self) -> None:
        if len(self._waiting) > 1:
            test, truth = (torch.cat(frames) for frames in zip(*self._waiting, strict=True))
            self._sum += self._predictor(test, truth) * len(test)
            self._frames += len(test)
        self._waiting = []

    @property
    def mean(self) -> float:
        return self._sum / self._frames if self._frames else math.nan
