"""Curves of cameras and graders, from scene light to code values, and the light that an expansion should give back.

The curve of a camera cannot be known from its picture, so an expansion cannot be asked for the light of the scene
everywhere. It can be asked for the grade as it is displayed, continued where information was lost. Let h be the exposed
scene light, c(h) the curve, and D(h) = c(h)^2.4 the light that a BT.1886 display shows. The truth for training is

    T(h) = D(h)                                                             for h <= j
    T(h) = D(j) * 2^(t - (1 - s) * w * R(t / w)),   t = log2(h / j)         for h > j

where j is the join, s the slope of log D over log h at j, w is `RAMP`, and R(x) = x - x^3 + x^4 / 2 up to x = 1 and
1/2 above. The slope rises smoothly from s to 1 within w stops and stays there, so that far above the join the ratios
are those of the scene.

With the slope meant of log D over log h, the join is the last light at which it is 1 or more: where a shoulder begins,
or where light is clipped without one. There are two cases. In most, s = 1 there and T is simply D(j) * h / j, so that
T(h) = h everywhere for a hard clip, and also for a curve that is linear up to a knee, whatever shoulder follows. Curves
that compress throughout, like most tone mappers, have s < 1 at `FLOOR` already; they join there, because below it the
grade is kept as it is. T rises everywhere and is continuous; its
slope is too, except at the hard clip of a curve that was not linear.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vshdr.colour.camera_response import camera_response
from vshdr.colour.transfer import EOTF, INVERSE_EOTF
from vshdr.runtime.dice import Dice

FLOOR = 0.3
"""Displayed light below which the truth is always the linearised SDR; a code value of 0.6."""
RAMP = 1.5
"""Stops within which a compressed slope returns to 1 (w of the formula)."""

_PER_STOP = 64
_DARKEST, _BRIGHTEST = -24, 6
_TABLE = torch.exp2(torch.arange(_DARKEST * _PER_STOP, _BRIGHTEST * _PER_STOP + 1, dtype=torch.float64) / _PER_STOP)


class Sigmoid(NamedTuple):
    """The distribution of camera responses (1 + sigma) h^n / (h^n + sigma): n and sigma are normal."""

    mean: tuple[float, float]
    """Of n and sigma."""
    deviation: tuple[float, float]
    """Standard deviations of n and sigma."""
    bounds: tuple[tuple[float, float], tuple[float, float]]
    """The least n and sigma, and the largest n and sigma."""


SIGMOID = Sigmoid(mean=(0.9, 0.6), deviation=(0.1, 0.1), bounds=((0.2, 0.05), (2.5, 5.0)))
"""Eilertsen et al., SIGGRAPH Asia 2017, fitted to the responses that Grossberg and Nayar measured. (There sigma may be
0, which makes all light white.)
"""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """One curve for each of N pictures, as tables over the logarithm of light."""

    names: tuple[str, ...]
    """N keys of `FAMILIES`."""
    codes: Tensor
    """N x K code values at K lights, 64 per stop."""
    join: Tensor
    """N x 1 x 1 x 1: scene light j, above which the truth leaves the displayed SDR."""
    level: Tensor
    """N x 1 x 1 x 1: D(j)."""
    slope: Tensor
    """N x 1 x 1 x 1: s, at most 1."""

    def to(self, device: torch.device | str) -> Curves:
        parts = ("codes", "join", "level", "slope")
        return replace(self, **{name: getattr(self, name).to(device) for name in parts})

    def encode(self, light: Tensor) -> Tensor:
        """Return the code values in [0, 1], not quantised, of exposed scene light, both N x 3 x H x W."""
        position = (light.clamp(2.0**_DARKEST, 2.0**_BRIGHTEST).log2() - _DARKEST) * _PER_STOP
        low = position.floor().clamp_max(self.codes.shape[1] - 2)
        share = (position - low).flatten(1)
        index = low.long().flatten(1)
        below, above = self.codes.gather(1, index), self.codes.gather(1, index + 1)
        return torch.lerp(below, above, share).reshape(light.shape) * (light > 2.0**_DARKEST)

    def truth(self, light: Tensor) -> Tensor:
        """Return T(h) for exposed scene light, both N x 3 x H x W: display-linear light, 1.0 = SDR white."""
        shown = EOTF["bt1886"](self.encode(light))
        stops = (light.clamp_min(1e-8) / self.join).log2().clamp_min(0.0)
        part = (stops / RAMP).clamp_max(1.0)
        rise = torch.where(stops < RAMP, part - part**3 + part**4 / 2, 0.5)
        beyond = self.level * torch.exp2(stops - (1.0 - self.slope) * RAMP * rise)
        return torch.where(light > self.join, beyond, shown)


def draw_curves(names: Sequence[str], dice: Dice) -> Curves:
    """Return a curve from each named family (keys of `FAMILIES`), each with its own random parameters, on the CPU."""
    return _tabulated(names, [FAMILIES[name](_TABLE, dice) for name in names])


def sigmoid_curve(n: float, sigma: float) -> Curves:
    """Return the curve of a camera whose response is known: `camera_response` with these parameters, clipped at 1."""
    return _tabulated(["sigmoid"], [camera_response(_TABLE.clamp_max(1.0), n, sigma)])


def _tabulated(names: Sequence[str], codes: Sequence[Tensor]) -> Curves:
    tables = [table.clamp(0.0, 1.0) for table in codes]
    joins = torch.tensor([_join(table) for table in tables], dtype=torch.float32).reshape(-1, 3, 1, 1, 1)
    join, level, slope = joins.unbind(1)
    return Curves(names=tuple(names), codes=torch.stack(tables).float(), join=join, level=level, slope=slope)


class _Join(NamedTuple):
    """Where the truth of a curve leaves the displayed SDR."""

    light: float
    """j of the module's text."""
    level: float
    """D(j)."""
    slope: float
    """s."""


def _join(codes: Tensor) -> _Join:
    """Return the join of a curve, a table of code values at the lights `_TABLE`."""
    shown = EOTF["bt1886"](codes)
    logarithm = shown.clamp_min(1e-12).log2()
    slope = logarithm.diff() * _PER_STOP
    rising = (codes[1:] > codes[:-1]) & (shown[:-1] >= FLOOR)
    steep = (rising & (slope >= 0.999)).nonzero()
    if len(steep):
        entry = int(steep[-1]) + 1
        return _Join(float(_TABLE[entry]), float(shown[entry]), 1.0)
    entry = int((shown >= FLOOR).nonzero()[0])
    return _Join(float(_TABLE[entry]), float(shown[entry]), float(slope[entry].clamp(0.0, 1.0)))


def shoulder(light: Tensor, knee: float, white: float) -> Tensor:
    """Return displayed light that equals `light` up to `knee`, then rolls off and reaches 1 at `white` > 1.

    Above the knee k it is k + (1 - k) ln(1 + a (h - k)) / ln(1 + a (w - k)), where a makes the slope at the knee 1.
    """
    low, high = 1e-9, 1e9
    for _ in range(100):  # bisection: ln(1 + a (w - k)) = a (1 - k) has one root above zero for w > 1
        middle = math.sqrt(low * high)
        low, high = (middle, high) if math.log1p(middle * (white - knee)) > middle * (1 - knee) else (low, middle)
    rolled = knee + torch.log1p(low * (light - knee).clamp_min(0.0)) / low
    return torch.where(light < knee, light, rolled).clamp_max(1.0)


def _ideal(light: Tensor, dice: Dice) -> Tensor:
    """Return a hard clip; below it BT.1886 shows the light as it was."""
    return INVERSE_EOTF["bt1886"](light.clamp_max(1.0))


def _srgb(light: Tensor, dice: Dice) -> Tensor:
    return INVERSE_EOTF["srgb"](light.clamp_max(1.0))


def _sigmoid(light: Tensor, dice: Dice) -> Tensor:
    """Return the response of a camera (see `SIGMOID`)."""
    drawn = (dice.normal(*of) for of in zip(SIGMOID.mean, SIGMOID.deviation, strict=True))
    n, sigma = (min(max(value, low), high) for value, low, high in zip(drawn, *SIGMOID.bounds, strict=True))
    return camera_response(light.clamp_max(1.0), n, sigma)


def _graded(light: Tensor, dice: Dice) -> Tensor:
    """Return mid-tones as they are and highlights that roll off (`shoulder`)."""
    return INVERSE_EOTF["bt1886"](shoulder(light, dice.uniform(0.4, 0.7), dice.log_uniform(4.0, 12.0)))


def _film(light: Tensor, dice: Dice) -> Tensor:
    """Return an S-curve on code values; some have lifted blacks and a white below the maximum."""
    contrast, toe = dice.uniform(1.05, 1.5), dice.log_uniform(0.6, 1.1)
    code = INVERSE_EOTF["bt1886"]((light / dice.uniform(1.0, 1.5)).clamp_max(1.0))
    power = code.pow(contrast)
    curve = power / (power + toe * (1 - code).pow(contrast))
    flat = dice.chance(0.4)
    black, white = (dice.uniform(0.0, 0.06), dice.uniform(0.88, 1.0)) if flat else (0.0, 1.0)
    return black + (white - black) * curve


def _exposure(light: Tensor, dice: Dice) -> Tensor:
    """Return a power after clipping at a black and a white point: the simplest of ExpandNet's random tone mappers."""
    black = dice.uniform(0.0, 0.01)
    return ((light - black) / (1 - black)).clamp(0.0, 1.0).pow(1 / dice.uniform(1.8, 2.2))


def _reinhard(light: Tensor, dice: Dice) -> Tensor:
    """Return h (1 + h / w^2) / (1 + h), Reinhard et al. 2002 (eq. 4), which is 1 at the white w; then a power."""
    white, key = dice.log_uniform(2.0, 10.0), dice.log_uniform(0.8, 2.0)
    h = (light * key).clamp_max(white)
    return (h * (1 + h / white**2) / (1 + h)).pow(1 / dice.uniform(1.8, 2.2))


def _drago(light: Tensor, dice: Dice) -> Tensor:
    """Return a logarithm whose base rises from 2 in shadows to 10 in highlights, scaled to 1 at a white of 2 to 12
    (Drago et al. 2003, eq. 4)."""
    white, key = dice.log_uniform(2.0, 12.0), dice.log_uniform(3.0, 20.0)
    bias = math.log(dice.uniform(0.7, 0.9)) / math.log(0.5)
    h = light.clamp_max(white)
    curve = torch.log1p(key * h) / torch.log(2 + 8 * (h / white).pow(bias)) * math.log(10) / math.log1p(key * white)
    return curve.pow(1 / dice.uniform(1.8, 2.2))


def _mantiuk(light: Tensor, dice: Dice) -> Tensor:
    """Return all contrasts reduced by one factor, as the contrast mapping of Mantiuk et al. 2006 does."""
    return light.clamp_max(1.0).pow(dice.uniform(0.65, 0.85) / dice.uniform(1.8, 2.2))


FAMILIES: dict[str, Callable[[Tensor, Dice], Tensor]] = {
    "ideal": _ideal,
    "srgb": _srgb,
    "sigmoid": _sigmoid,
    "graded": _graded,
    "film": _film,
    "exposure": _exposure,
    "reinhard": _reinhard,
    "drago": _drago,
    "mantiuk": _mantiuk,
}
"""Families of curves by name. Each maps scene light, 1.0 = exposed for SDR white, to code values, with parameters drawn
from the dice.
"""
