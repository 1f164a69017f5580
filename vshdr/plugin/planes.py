"""Planes in VapourSynth's memory, to and from tensors and arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vshdr.plugin.abi import Plane


def read_planes(planes: Iterable[Plane], target: Tensor) -> None:
    """Copy three planes of float32 samples into `target`, 3 x H x W."""
    height, width = target.shape[1:]
    for plane, channel in zip(planes, target, strict=True):
        channel.copy_(_view(plane, width, height))


def write_planes(planes: Iterable[Plane], source: Tensor) -> None:
    """Copy `source`, 3 x H x W, into three planes of float32 samples."""
    height, width = source.shape[1:]
    for plane, channel in zip(planes, source, strict=True):
        _view(plane, width, height).copy_(channel)


def samples[K: np.generic](
    planes: Iterable[Plane], shapes: Sequence[tuple[int, int]], kind: type[K]
) -> list[NDArray[K]]:
    """Return three planes as arrays of samples of type `kind`, H x W as `shapes` says, without a copy."""
    arrays = []
    for plane, (height, width) in zip(planes, shapes, strict=True):
        memory = (ctypes.c_uint8 * (plane.stride * height)).from_address(_address(plane))
        arrays.append(np.frombuffer(memory, kind).reshape(height, -1)[:, :width])
    return arrays


def _view(plane: Plane, width: int, height: int) -> Tensor:
    """Return a plane of float32 samples as a tensor, H x W, without a copy."""
    row = plane.stride // 4
    memory = (ctypes.c_float * (row * height)).from_address(_address(plane))
    return torch.frombuffer(memory, dtype=torch.float32).as_strided((height, width), (row, 1))


def _address(plane: Plane) -> int:
    assert plane.data is not None, "only gain beyond the radius has no plane, and it is not read"
    return plane.data
