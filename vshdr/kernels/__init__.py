"""Point-wise work in one pass over memory, in C, for frames on a CPU.

PyTorch takes one pass per operation, which is most of a frame's time once the network is fast. Every function here has
a twin in PyTorch where it is called; `serves` says whether the C may take its place. Where the library was not built it
never does.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Sequence
from ctypes import POINTER, c_float, c_int, c_int64
from pathlib import Path

import torch
from torch import Tensor

from vshdr.errors import BuildError, InputError
from vshdr.runtime.memory import large

_ABI = 4
_FILE = Path(__file__).with_name("libkernels.dylib" if sys.platform == "darwin" else "libkernels.so")


class _Planes(ctypes.Structure):
    """`struct planes` of kernels.h."""

    _fields_ = [("data", ctypes.c_void_p), ("plane", c_int64), ("row", c_int64)]

    @classmethod
    def of(cls, picture: Tensor) -> _Planes:
        return cls(picture.data_ptr(), picture.stride(0), picture.stride(1))


class Trust(ctypes.Structure):
    """`struct trust` of gainmap.c."""

    _fields_ = [("low", c_float), ("high", c_float), ("exponent", c_float), ("darkest", c_float)]


_ADDRESS, _PLANES, _FLOATS = ctypes.c_void_p, POINTER(_Planes), POINTER(c_float)
_SIZES, _LIMITS = (c_int64, c_int64), (c_float, c_float)
_SIGNATURES = {
    "vshdr_reduce": (_PLANES, _PLANES, *_SIZES, c_int),
    "vshdr_shares_above": (_ADDRESS, c_int64, _FLOATS, c_int, _ADDRESS),
    "vshdr_look_up": (_ADDRESS, *_SIZES, c_int64, _PLANES, _FLOATS, *_LIMITS, POINTER(Trust), _PLANES, c_int),
    "vshdr_brighten": (_PLANES, _PLANES, *_SIZES, *_LIMITS, c_float, _PLANES, c_int),
    "vshdr_settle": (_PLANES, _PLANES, *_SIZES, c_float, c_float, c_float, c_int),
    "vshdr_measure_light": (_PLANES, *_SIZES, _FLOATS, *_LIMITS, c_int, _ADDRESS, POINTER(ctypes.c_double)),
    "vshdr_add_moved": (_ADDRESS, _ADDRESS, *_SIZES, _ADDRESS, *_SIZES, c_int, c_float, _ADDRESS, _ADDRESS, c_int),
    "vshdr_power": (_ADDRESS, c_float, _ADDRESS, c_int64, c_int),
    "vshdr_gain": (_ADDRESS, _ADDRESS, c_float, _ADDRESS, c_int64, c_int),
    "vshdr_light": (_ADDRESS, _ADDRESS, c_float, _ADDRESS, c_int64, c_int),
}
"""Arguments of what the headers and C files describe; `vshdr_settle` returns an int, the others nothing."""


@functools.cache
def _library() -> ctypes.CDLL | None:
    """Return None where it was not built. Raise BuildError if it is of another build than the package."""
    if not _FILE.exists():
        return None
    library = ctypes.CDLL(str(_FILE))
    if library.vshdr_kernels_abi() != _ABI:
        raise BuildError(f"{_FILE} is of another build than the package; install vshdr again")
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
    library.vshdr_settle.restype = c_int
    return library


def serves(*pictures: Tensor) -> bool:
    """Return whether the functions of this module take these tensors: on a CPU, float32, pixels of a row side by side,
    and nothing to differentiate.
    """
    return (
        not torch.is_grad_enabled()
        and all(p.device.type == "cpu" and p.dtype is torch.float32 and p.dim() > 0 for p in pictures)
        and all(p.stride(-1) == 1 for p in pictures)
        and _library() is not None
    )


def serves_whole(*tensors: Tensor) -> bool:
    """Return whether the functions that take tensors of any one shape do: as `serves`, and without gaps."""
    return serves(*tensors) and all(t.is_contiguous() and t.shape == tensors[0].shape for t in tensors)


def power(x: Tensor, exponent: float) -> Tensor:
    """`x.clamp_min(0).pow(exponent)`, any shape."""
    out = torch.empty_like(x)
    _library().vshdr_power(x.data_ptr(), exponent, out.data_ptr(), x.numel(), torch.get_num_threads())
    return out


def gain_of(base: Tensor, linear: Tensor, floor: float) -> Tensor:
    """`log2((linear + floor) / (base + floor))`, of one shape, neither negative."""
    out = torch.empty_like(base)
    pointers = base.data_ptr(), linear.data_ptr()
    _library().vshdr_gain(*pointers, floor, out.data_ptr(), base.numel(), torch.get_num_threads())
    return out


def apply_gain(base: Tensor, gain: Tensor, floor: float) -> Tensor:
    """`((base + floor) * exp2(gain) - floor).clamp_min(0)`, of one shape."""
    out = torch.empty_like(base)
    pointers = base.data_ptr(), gain.data_ptr()
    _library().vshdr_light(*pointers, floor, out.data_ptr(), base.numel(), torch.get_num_threads())
    return out


def add_moved(
    own: Tensor, there: Tensor, field: Tensor, factor: int, other_pixel: float, total: Tensor, weights: Tensor
) -> None:
    """Add the gain of another frame, moved and weighted, to `total`, 1 x 3 x H x W, and its weights to `weights`,
    1 x 1 x H x W.

    `own` and `there` are `GainFrame.layers`, 1 x 4 x H x W, channels last in memory; `field` is 1 x 3 x h x w, `factor`
    times smaller: motion as shares of half the frame's sides, and the exponent of the weight, to which the difference
    of luma over `other_pixel` is added squared.
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
    """`F.avg_pool2d(sdr, 2, ceil_mode=True)`, N x C x H x W to N x C x ceil(H/2) x ceil(W/2), C = 3."""
    count, channels, height, width = sdr.shape
    reduced = large((count, channels, (height + 1) // 2, (width + 1) // 2))
    for source, target in zip(sdr, reduced, strict=True):
        _library().vshdr_reduce(_Planes.of(source), _Planes.of(target), width, height, torch.get_num_threads())
    return reduced


def shares_above(values: Tensor, levels: Sequence[float]) -> Tensor:
    """Return means of `((values - low) / (high - low)).clamp(0, 1)` for each pair of successive levels: N x C x P to N
    x C x (levels - 1). At most 65 levels.
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
    """Return gain in stops of curves over two guides, and of what channels tell of each other, N x 3 x H x W.

    `coefficients` are N x 32 x H/f x W/f, f any even number: five values, at `knots`, of red, green and blue over
    themselves, then over the smallest channel, smoothed 3 x 3; then the ratios and with them `trust` as in
    `told_by_others`. They are enlarged bilinearly. `reduced` is N x 3 x H x W; `limits` bound the gain. Raise
    ValueError where the sizes do not fit.
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
    """Return linear light of `sdr`, N x 3 x H x W with even sides: linearised and brightened by `gain`, N x 3 x H/2 x
    W/2, in stops, which is enlarged bilinearly and fades in between the code values `fade` of the largest channel.

    `exponent` is the display's, 0 for the curve of sRGB.
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


def settle(linear: Tensor, start: float, slope: float, ceiling: float, out: Tensor) -> bool:
    """Write `linear` to `out`, without negative values and rolled off below `ceiling` as `RollOff` (in
    `vshdr.colour.roll_off`) describes.

    Both are N x 3 x H x W and may be the same. Return whether all values were finite.
    """
    height, width = linear.shape[2:]
    finite = [
        _library().vshdr_settle(
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

    Values are clamped to 0 and the upper of `limits`. `bins`, int64, count their upper bits, from those of the lower
    limit on and without the `dropped` lowest.
    """
    height, width = linear.shape[1:]
    found = (ctypes.c_double * 2)()
    rows = (c_float * 9)(*matrix)
    _library().vshdr_measure_light(_Planes.of(linear), width, height, rows, *limits, dropped, bins.data_ptr(), found)
    return found[0], found[1]
