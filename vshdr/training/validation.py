"""Validation: measuring a network in training on pictures of scenes that are never trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from vshdr.camera.pairs import Pair
from vshdr.training import sheets
from vshdr.training.data import Camera
from vshdr.training.learner import Learner, Objective

SEED = 20_000_000
"""Seed of the validation camera, the same for every run, so that losses of runs can be compared."""


class Validation:
    """A set of pairs, drawn once. First views are the same in every run with the same pictures and size."""

    def __init__(self, open_camera: Callable[[int], Camera], objective: Objective, count: int, *, views: bool) -> None:
        """Draw `count` samples. `open_camera` returns a camera for a seed; with `views` it renders second views,
        too.
        """
        self._objective = objective
        self._pairs: list[Pair] = []
        while len(self._pairs) < count:
            # Each camera takes a few samples only. Drawing second views then does not change later first views, and the
            # reconstruction losses of both phases can be compared.
            camera = open_camera(SEED + len(self._pairs))
            generator = torch.Generator(camera.device).manual_seed(SEED + len(self._pairs))
            size = min(8, count - len(self._pairs))
            pair = objective.complete(camera.pair(size, stability=views), generator)
            self._pairs += [_one(pair, index) for index in range(size)]

    @torch.no_grad()
    def measure(self, learner: Learner, autocast: torch.autocast) -> dict[str, Any]:
        """Return the means of the objective's parts, and under "conditions" the mean loss for each camera curve.

        `learner` must be in evaluation mode.
        """
        parts: dict[str, list[float]] = {}
        conditions: dict[str, list[float]] = {}
        for pair in self._pairs:
            measured = self._objective(learner, pair, autocast)
            for name, value in measured.items():
                parts.setdefault(name, []).append(float(value))
            curve = pair.kind[0].split("+")[0]  # "graded" of "graded+noise+420"
            conditions.setdefault(curve, []).append(float(measured["loss"]))
        means = {name: mean(values) for name, values in parts.items()}
        return means | {"conditions": {name: mean(values) for name, values in sorted(conditions.items())}}

    @torch.no_grad()
    def draw(
        self, path: Path, learner: Learner, autocast: torch.autocast, *, headroom: float, count: int, title: str
    ) -> None:
        """Write a contact sheet of the first `count` pairs; no file for 0."""
        shown = self._pairs[:count]
        if not shown:
            return
        with autocast:
            output = torch.cat([learner.light(pair.sdr, headroom) for pair in shown])
        sdr, truth = (torch.cat([getattr(pair, name) for pair in shown]) for name in ("sdr", "linear"))
        sheets.contact_sheet(path, sdr, output, truth, title)


def _one(pair: Pair, index: int) -> Pair:
    """Return the sample `index` of a batch, as a batch of one."""
    part = slice(index, index + 1)
    values = {field.name: getattr(pair, field.name) for field in dataclasses.fields(pair)}
    return dataclasses.replace(pair, **{name: value[part] for name, value in values.items() if value is not None})
