"""Planes in VapourSynth's memory to and from tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vshdr.plugin.bridge import Plane


def read_planes(planes: Sequence[Plane], field: str, target: Tensor) -> None:
    """Copy three planes, their "sdr" or "linear", into `target`, 3 x H x W."""
    height, width = target.shape[1:]
    for plane, channel in zip(planes, target, strict=True):
        channel.copy_(_view(getattr(plane, field), getattr(plane, f"{field}_stride"), width, height))


def write_planes(planes: Sequence[Plane], linear: Tensor) -> None:
    """Copy `linear`, 3 x H x W, into the "linear" of three planes."""
    height, width = linear.shape[1:]
    for plane, channel in zip(planes, linear, strict=True):
        _view(plane.linear, plane.linear_stride, width, height).copy_(channel)


def samples(planes: Sequence[Plane], field: str, shapes: Sequence[tuple[int, int]], kind: type) -> list[NDArray]:
    """Return three planes of integers, their "sdr" or "linear", as arrays of height and width `shapes`,
    without a copy.
    """
    arrays = []
    for plane, (height, width) in zip(planes, shapes, strict=True):
        address, stride = getattr(plane, field), getattr(plane, f"{field}_stride")
        memory = (ctypes.c_uint8 * (stride * height)).from_address(address)
        arrays.append(np.frombuffer(memory, kind).reshape(height, -1)[:, :width])
    return arrays


def _view(address: int, stride: int, width: int, height: int) -> Tensor:
    """Return a plane of floats in VapourSynth's memory as a tensor H x W, without a copy; rows are `stride` bytes
    apart.
    """
    row = stride // 4
    memory = (ctypes.c_float * (row * height)).from_address(address)
    return torch.frombuffer(memory, dtype=torch.float32).as_strided((height, width), (row, 1))
