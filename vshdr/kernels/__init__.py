"""Loops over pixels in C, which do in one pass over memory what PyTorch does in many: for frames on a CPU.

PyTorch takes one pass per operation, and once the network is fast these passes are most of a frame's time. Every
function here has a twin in PyTorch at the place where it is called. `serves` tells which of the two runs. Where the
library was not built, it is always PyTorch.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import POINTER, c_float, c_int, c_int64
from pathlib import Path

import torch
from torch import Tensor

from vshdr.errors import BuildError, InputError
from vshdr.runtime.memory import large

_ABI = 4
_FILE = Path(__file__).with_name("libkernels.dylib" if sys.platform == "darwin" else "libkernels.so")


class _Planes(ctypes.Structure):
    """`struct planes` of kernels.h: three planes of one picture, with distances counted in floats."""

    _fields_ = [("data", ctypes.c_void_p), ("plane", c_int64), ("row", c_int64)]

    @classmethod
    def of(cls, picture: Tensor) -> _Planes:
        return cls(picture.data_ptr(), picture.stride(0), picture.stride(1))


class Trust(ctypes.Structure):
    """`struct trust` of gainmap.c: when and how a channel's light is told from the other channels."""

    _fields_ = [("low", c_float), ("high", c_float), ("exponent", c_float), ("darkest", c_float)]


_ADDRESS, _PLANES, _FLOATS = ctypes.c_void_p, POINTER(_Planes), POINTER(c_float)
_SIZES, _LIMITS = (c_int64, c_int64), (c_float, c_float)
_SIGNATURES = {
    "vshdr_reduce": (_PLANES, _PLANES, *_SIZES, c_int),
    "vshdr_shares_above": (_ADDRESS, c_int64, _FLOATS, c_int, _ADDRESS),
    "vshdr_look_up": (_ADDRESS, *_SIZES, c_int64, _PLANES, _FLOATS, *_LIMITS, POINTER(Trust), _PLANES, c_int),
    "vshdr_brighten": (_PLANES, _PLANES, *_SIZES, *_LIMITS, c_float, _PLANES, c_int),
    "vshdr_limit_and_roll_off": (_PLANES, _PLANES, *_SIZES, c_float, c_float, c_float, c_int),
    "vshdr_measure_light": (_PLANES, *_SIZES, _FLOATS, *_LIMITS, c_int, _ADDRESS, POINTER(ctypes.c_double)),
    "vshdr_add_moved": (_ADDRESS, _ADDRESS, *_SIZES, _ADDRESS, *_SIZES, c_int, c_float, _ADDRESS, _ADDRESS, c_int),
    "vshdr_power": (_ADDRESS, c_float, _ADDRESS, c_int64, c_int),
    "vshdr_gain": (_ADDRESS, _ADDRESS, c_float, _ADDRESS, c_int64, c_int),
    "vshdr_apply_gain": (_ADDRESS, _ADDRESS, c_float, _ADDRESS, c_int64, c_int),
}
"""The arguments of each C function, which its file describes. `vshdr_limit_and_roll_off` returns an int, the others
nothing.
"""


_lock = threading.Lock()
_disabled = 0  # how many `disabled` blocks are open, on all threads


@contextmanager
def disabled() -> Iterator[None]:
    """Make `serves` return False within the block, on every thread, so that PyTorch does the work.

    For tests and benchmarks that compare the two. Blocks may be nested.
    """
    global _disabled
    with _lock:
        _disabled += 1
    try:
        yield
    finally:
        with _lock:
            _disabled -= 1


@functools.cache
def _load() -> ctypes.CDLL | None:
    """Return the library, or None where it was not built. Raise BuildError if package and library do not match."""
    if not _FILE.exists():
        return None
    library = ctypes.CDLL(str(_FILE))
    if library.vshdr_kernels_abi() != _ABI:
        raise BuildError(f"{_FILE} is of another build than the package; install vshdr again")
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
    library.vshdr_limit_and_roll_off.restype = c_int
    return library


def _library() -> ctypes.CDLL:
    library = _load()
    if library is None:
        raise BuildError(f"{_FILE} was not built; ask `serves` before a function of this module is called")
    return library


def serves(*pictures: Tensor) -> bool:
    """Return whether the functions of this module can take these tensors.

    They must be float32, on a CPU, with the pixels of a row side by side in memory, and gradients must be off.
    """
    return (
        not _disabled
        and not torch.is_grad_enabled()
        and all(p.device.type == "cpu" and p.dtype is torch.float32 and p.dim() > 0 for p in pictures)
        and all(p.stride(-1) == 1 for p in pictures)
        and _load() is not None
    )


def serves_whole(*tensors: Tensor) -> bool:
    """Return whether functions of tensors of any shape can take these: as `serves`, of one shape and without gaps."""
    return serves(*tensors) and all(t.is_contiguous() and t.shape == tensors[0].shape for t in tensors)


def power(x: Tensor, exponent: float) -> Tensor:
    """Return `x.clamp_min(0).pow(exponent)`, for any shape."""
    out = torch.empty_like(x)
    _library().vshdr_power(x.data_ptr(), exponent, out.data_ptr(), x.numel(), torch.get_num_threads())
    return out


def gain_of(base: Tensor, linear: Tensor, floor: float) -> Tensor:
    """Return `log2((linear + floor) / (base + floor))`. Both have the same shape and are not negative."""
    out = torch.empty_like(base)
    pointers = base.data_ptr(), linear.data_ptr()
    _library().vshdr_gain(*pointers, floor, out.data_ptr(), base.numel(), torch.get_num_threads())
    return out


def apply_gain(base: Tensor, gain: Tensor, floor: float) -> Tensor:
    """Return `((base + floor) * exp2(gain) - floor).clamp_min(0)`. Both have the same shape."""
    out = torch.empty_like(base)
    pointers = base.data_ptr(), gain.data_ptr()
    _library().vshdr_apply_gain(*pointers, floor, out.data_ptr(), base.numel(), torch.get_num_threads())
    return out


def add_moved(
    own: Tensor, there: Tensor, field: Tensor, factor: int, other_pixel: float, total: Tensor, weights: Tensor
) -> None:
    """Add the gain of another frame, moved to this one and weighted, to `total`, 1 x 3 x H x W, and the weights to
    `weights`, 1 x 1 x H x W.

    `own` and `there` are the `GainFrame.layers` of this frame and the other, 1 x 4 x H x W, channels last in memory.
    `field` is 1 x 3 x h x w, `factor` times smaller than the frame: motion across and down, as shares of half the
    frame's sides, and a distance d. A pixel's weight is exp(-(d + (difference of luma / other_pixel)^2)).
    """
    height, width = own.shape[2:]
    small_height, small_width = field.shape[2:]
    _library().vshdr_add_moved(
        own.data_ptr(),
        there.data_ptr(),
        width,
        height,
        field.data_ptr(),
        small_width,
        small_height,
        factor,
        other_pixel,
        total.data_ptr(),
        weights.data_ptr(),
        torch.get_num_threads(),
    )


def reduce(sdr: Tensor) -> Tensor:
    """Return `F.avg_pool2d(sdr, 2, ceil_mode=True)`: N x 3 x H x W to N x 3 x ceil(H/2) x ceil(W/2)."""
    count, channels, height, width = sdr.shape
    reduced = large((count, channels, (height + 1) // 2, (width + 1) // 2))
    for source, target in zip(sdr, reduced, strict=True):
        _library().vshdr_reduce(_Planes.of(source), _Planes.of(target), width, height, torch.get_num_threads())
    return reduced


def shares_above(values: Tensor, levels: Sequence[float]) -> Tensor:
    """Return the means of `((values - low) / (high - low)).clamp(0, 1)` for each pair of successive levels.

    N x C x P become N x C x (levels - 1). There are at most 65 levels.
    """
    shares = values.new_empty(*values.shape[:2], len(levels) - 1)
    places = (c_float * len(levels))(*levels)
    rows = zip(values.flatten(0, 1), shares.flatten(0, 1), strict=True)
    for row, share in rows:
        _library().vshdr_shares_above(row.data_ptr(), len(row), places, len(share), share.data_ptr())
    return shares


def look_up(
    coefficients: Tensor, reduced: Tensor, knots: Sequence[float], limits: tuple[float, float], trust: Trust
) -> Tensor:
    """Return the gain in stops, N x 3 x H x W, that `coefficients` give for the code values `reduced`, N x 3 x H x W.

    `coefficients` are N x 32 x H/f x W/f, where f is any even number, and are enlarged bilinearly. The first 30 are
    curves, five values each at the code values `knots`: one curve each for red, green and blue as a function of that
    channel, then the same as a function of the smallest channel, averaged over 3 x 3 pixels. The last two are the
    ratios of channels, which with `trust` act as in `told_by_others`. The gain is clamped to `limits`.

    Raise InputError where the sizes do not fit.
    """
    high, wide = coefficients.shape[2:]
    fold = reduced.shape[3] // wide
    if fold % 2 or reduced.shape[2:] != (fold * high, fold * wide):
        raise InputError(f"curves of {wide} x {high} cells do not fit a picture of {tuple(reduced.shape)}")
    gain = large(reduced.shape)
    places = (c_float * len(knots))(*knots)
    for curves, code, target in zip(coefficients.contiguous(), reduced, gain, strict=True):
        _library().vshdr_look_up(
            curves.data_ptr(),
            wide,
            high,
            fold,
            _Planes.of(code),
            places,
            *limits,
            trust,
            _Planes.of(target),
            torch.get_num_threads(),
        )
    return gain


def brighten(gain: Tensor, sdr: Tensor, fade: tuple[float, float], exponent: float) -> Tensor:
    """Return the linear light of `sdr`, N x 3 x H x W with even sides, brightened by `gain`, N x 3 x H/2 x W/2.

    The gain is in stops. It is enlarged bilinearly and fades in while the largest channel rises through the code values
    `fade`. `exponent` is that of the SDR display's curve, or 0 for the curve of sRGB.
    """
    linear = large(sdr.shape)
    height, width = sdr.shape[2:]
    for stops, code, target in zip(gain, sdr, linear, strict=True):
        _library().vshdr_brighten(
            _Planes.of(stops),
            _Planes.of(code),
            width,
            height,
            *fade,
            exponent,
            _Planes.of(target),
            torch.get_num_threads(),
        )
    return linear


def limit_and_roll_off(linear: Tensor, start: float, slope: float, ceiling: float, out: Tensor) -> bool:
    """Write `linear` to `out`, with negative values set to 0 and bright ones rolled off as `RollOff` in
    `vshdr.colour.roll_off` describes.

    Both are N x 3 x H x W and may be the same tensor. Return whether all values were finite.
    """
    height, width = linear.shape[2:]
    finite = [
        _library().vshdr_limit_and_roll_off(
            _Planes.of(picture), _Planes.of(target), width, height, start, slope, ceiling, torch.get_num_threads()
        )
        for picture, target in zip(linear, out, strict=True)
    ]
    return all(finite)


def measure_light(
    linear: Tensor, matrix: Sequence[float], limits: tuple[float, float], dropped: int, bins: Tensor
) -> tuple[float, float]:
    """Return the largest value and the sum of max(R, G, B) of `linear`, 3 x H x W, after `matrix`, nine numbers row by
    row.

    Values are clamped to 0 and the upper of `limits`. They are also counted in `bins`, int64, whose edges are the
    floats themselves: with `bits(x)` the 32 bits of a float as an integer, a value x, clamped to `limits` (low, high),
    counts in bin (bits(x) >> dropped) - (bits(low) >> dropped). Neighbouring bins so have a constant ratio, about.
    """
    height, width = linear.shape[1:]
    found = (ctypes.c_double * 2)()
    rows = (c_float * 9)(*matrix)
    _library().vshdr_measure_light(_Planes.of(linear), width, height, rows, *limits, dropped, bins.data_ptr(), found)
    return found[0], found[1]
