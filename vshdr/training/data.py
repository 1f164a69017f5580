"""Training data: pictures of light that the virtual camera looks at, or samples that a camera has stored; split into
scenes for training and scenes for validation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from vshdr.camera.conditions import CameraOptions
from vshdr.camera.hdr_files import find_hdr_files, split
from vshdr.camera.hdrcnn_samples import StoredSamples, find_samples, source_name
from vshdr.camera.panoramas import Panoramas
from vshdr.camera.virtual_camera import VirtualCamera
from vshdr.errors import InputError
from vshdr.options.train import TrainOptions
from vshdr.training.cleaning import without_outliers

VALIDATION_SHARE = 0.1
"""Share of the scenes that are held out for validation."""
PROCEDURAL_SCENES = 16
"""Scenes made by code where no folder is given; a quarter as many more are held out."""

Camera = VirtualCamera | StoredSamples


@dataclass(frozen=True, kw_only=True)
class Data:
    """Cameras for both halves of the scenes. Pictures are read once, however many cameras there are."""

    training: Callable[[int], Camera]
    """Return a camera for a seed, which sees the scenes for training."""
    held_out: Callable[[int], Camera]
    """Return a camera for a seed, which sees the scenes for validation."""
    description: str
    """One line for logs and metadata. Folders are given by their last name only."""


def open_data(options: TrainOptions, camera: CameraOptions, device: torch.device) -> Data:
    """Open the data that `options.data` names.

    That is a folder with `bin` and `jpg` of HDRCNN's virtual camera, a folder of panoramas and photos, or nothing, for
    scenes made by code. Pictures that the report `options.without` flags are left out.

    Raise OSError and InputError where pictures are missing, damaged or too few.
    """
    size = options.size[1], options.size[0]
    folder = Path(options.data)
    if options.data and (folder / "bin").is_dir():
        if options.condition != "mixed":
            raise InputError(f"{folder}: stored samples are as their camera took them; leave out condition")
        pictures = dict(find_samples(folder))
        halves = split(_kept(list(pictures), options), VALIDATION_SHARE, scene=source_name)
        stored = [[(light, pictures[light]) for light in half] for half in halves]
        training, held_out = (
            lambda seed, half=half: StoredSamples(half, device, size=size, seed=seed) for half in stored
        )
        return Data(training=training, held_out=held_out, description=_describe("samples", *halves, folder))
    if options.data:
        halves = split(_kept(find_hdr_files(folder), options), VALIDATION_SHARE)
        seen = [Panoramas(half, device) for half in halves]
        description = _describe("pictures", *halves, folder)
    else:
        counts = PROCEDURAL_SCENES, PROCEDURAL_SCENES // 4
        seen = [Panoramas.procedural(count, seed, device) for seed, count in enumerate(counts)]
        description = f"{PROCEDURAL_SCENES} procedural scenes"
    training, held_out = (lambda seed, half=half: VirtualCamera(half, camera, size=size, seed=seed) for half in seen)
    return Data(training=training, held_out=held_out, description=description)


def _kept(paths: list[Path], options: TrainOptions) -> list[Path]:
    return without_outliers(paths, options.data, options.without) if options.without else paths


def _describe(kind: str, training: list[Path], held_out: list[Path], folder: Path) -> str:
    return f"{len(training)} {kind} of {folder.name}, {len(held_out)} more held out for validation"
