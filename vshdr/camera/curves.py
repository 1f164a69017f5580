"""What cameras and graders do to light: curves from scene light to code values, and the light that an
expansion should give back.

A camera's curve cannot be known from its picture, so an expansion cannot be asked for the scene's own light
everywhere. What it can be asked for is the grade as it is displayed, continued where information was lost.
With h the exposed scene light, c(h) the curve and D(h) = c(h)^2.4 the light that a BT.1886 display shows, the
truth of training is

    T(h) = D(h)                                                             for h <= j
    T(h) = D(j) * 2^(t - (1 - s) * w * R(t / w)),   t = log2(h / j)         for h > j

where s is the slope of log D over log h at the join j and R(x) = x - x^3 + x^4 / 2 up to x = 1, then 1/2: the
slope rises smoothly from s to 1 within w stops and stays there, so that far beyond the join light keeps the
scene's own ratios.

The join is the last place where the slope of D is 1 or more: where a shoulder begins, or where light is
clipped without one. There s = 1, and T is simply D(j) * h / j. So a hard clip has T(h) = h everywhere, and so
has a curve that is linear up to a knee, whatever shoulder follows. Curves that compress all the way (most
tone mappers) have s < 1 at `FLOOR` already; they join there, for below it a grade is kept as it is.
T never falls and has no step; it has no kink either, but at a hard clip of a curve that was not linear.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vshdr.colour.transfer import EOTF, INVERSE_EOTF
from vshdr.runtime.dice import Dice
from vshdr.synthetic.harbour.scene import camera_curve

FLOOR = 0.3
"""Display light below which the truth is always the linearised SDR; a code value of 0.6."""
RAMP = 1.5
"""Stops within which a compressed slope returns to the scene's own (w of the formula)."""

_PER_STOP = 64
_DARKEST, _BRIGHTEST = -24, 6
_TABLE = torch.exp2(torch.arange(_DARKEST * _PER_STOP, _BRIGHTEST * _PER_STOP + 1, dtype=torch.float64) / _PER_STOP)


class Sigmoid(NamedTuple):
    """How the sigmoids (1 + sigma) h^n / (h^n + sigma) of cameras are distributed: n and sigma are normal."""

    mean: tuple[float, float]
    deviation: tuple[float, float]
    bounds: tuple[tuple[float, float], tuple[float, float]]
    """The least n and sigma, and the largest."""


SIGMOID = Sigmoid(mean=(0.9, 0.6), deviation=(0.1, 0.1), bounds=((0.2, 0.05), (2.5, 5.0)))
"""Eilertsen et al. 2017, fitted to Grossberg and Nayar's data. (Their sigma goes down to 0, where all light is white.)
"""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """One curve for each of N samples, as tables over the logarithm of light."""

    names: tuple[str, ...]
    """N keys of `FAMILIES`."""
    codes: Tensor
    """N x K code values at K lights, 64 to a stop."""
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
        """Return code values in [0, 1], not quantised, of exposed scene light, both N x 3 x H x W."""
        place = (light.clamp(2.0**_DARKEST, 2.0**_BRIGHTEST).log2() - _DARKEST) * _PER_STOP
        low = place.floor().clamp_max(self.codes.shape[1] - 2)
        share = (place - low).flatten(1)
        index = low.long().flatten(1)
        below, above = self.codes.gather(1, index), self.codes.gather(1, index + 1)
        return torch.lerp(below, above, share).reshape(light.shape) * (light > 2.0**_DARKEST)

    def truth(self, light: Tensor) -> Tensor:
        """T(h) of the module's text: display-linear light, 1.0 = SDR white, N x 3 x H x W like `light`."""
        shown = EOTF["bt1886"](self.encode(light))
        stops = (light.clamp_min(1e-8) / self.join).log2().clamp_min(0.0)
        part = (stops / RAMP).clamp_max(1.0)
        rise = torch.where(stops < RAMP, part - part**3 + part**4 / 2, 0.5)
        beyond = self.level * torch.exp2(stops - (1.0 - self.slope) * RAMP * rise)
        return torch.where(light > self.join, beyond, shown)


def draw_curves(names: Sequence[str], dice: Dice) -> Curves:
    """Return a curve of each named family (keys of `FAMILIES`) with parameters of its own, on the CPU."""
    return _tabulated(names, [FAMILIES[name](_TABLE, dice) for name in names])


def known_sigmoid(n: float, sigma: float) -> Curves:
    """Return the curve of a camera whose sigmoid is known: `scene.camera_curve` with these parameters, clipped at
    1."""
    return _tabulated(["sigmoid"], [camera_curve(_TABLE.clamp_max(1.0), n, sigma)])


def _tabulated(names: Sequence[str], codes: Sequence[Tensor]) -> Curves:
    tables = [table.clamp(0.0, 1.0) for table in codes]
    joins = torch.tensor([_join(table) for table in tables], dtype=torch.float32).reshape(-1, 3, 1, 1, 1)
    join, level, slope = joins.unbind(1)
    return Curves(names=tuple(names), codes=torch.stack(tables).float(), join=join, level=level, slope=slope)


def _join(codes: Tensor) -> tuple[float, float, float]:
    """Return the join j of a table, D(j) and the slope s there."""
    shown = EOTF["bt1886"](codes)
    logarithm = shown.clamp_min(1e-12).log2()
    slope = logarithm.diff() * _PER_STOP
    rising = (codes[1:] > codes[:-1]) & (shown[:-1] >= FLOOR)
    steep = (rising & (slope >= 0.999)).nonzero()
    if len(steep):
        place = int(steep[-1]) + 1
        return float(_TABLE[place]), float(shown[place]), 1.0
    place = int((shown >= FLOOR).nonzero()[0])
    return float(_TABLE[place]), float(shown[place]), float(slope[place].clamp(0.0, 1.0))


def shoulder(light: Tensor, knee: float, white: float) -> Tensor:
    """Return display light that equals `light` up to `knee`, then rolls off as a logarithm and reaches 1 at `white`.

    k + (1 - k) ln(1 + a (h - k)) / ln(1 + a (w - k)), where a makes the slope at the knee 1.
    """
    low, high = 1e-9, 1e9
    for _ in range(100):  # ln(1 + a (w - k)) = a (1 - k) has one root above zero for w > 1
        middle = math.sqrt(low * high)
        low, high = (middle, high) if math.log1p(middle * (white - knee)) > middle * (1 - knee) else (low, middle)
    rolled = knee + torch.log1p(low * (light - knee).clamp_min(0.0)) / low
    return torch.where(light < knee, light, rolled).clamp_max(1.0)


def _ideal(light: Tensor, dice: Dice) -> Tensor:
    """Return a hard clip; BT.1886 shows what was there."""
    return INVERSE_EOTF["bt1886"](light.clamp_max(1.0))


def _srgb(light: Tensor, dice: Dice) -> Tensor:
    return INVERSE_EOTF["srgb"](light.clamp_max(1.0))


def _sigmoid(light: Tensor, dice: Dice) -> Tensor:
    """Cameras' own curves: see `SIGMOID`."""
    drawn = (dice.normal(*of) for of in zip(SIGMOID.mean, SIGMOID.deviation, strict=True))
    n, sigma = (min(max(value, low), high) for value, low, high in zip(drawn, *SIGMOID.bounds, strict=True))
    return camera_curve(light.clamp_max(1.0), n, sigma)


def _graded(light: Tensor, dice: Dice) -> Tensor:
    """Mid-tones untouched, highlights rolled off into what is left."""
    return INVERSE_EOTF["bt1886"](shoulder(light, dice.uniform(0.4, 0.7), dice.log_uniform(4.0, 12.0)))


def _film(light: Tensor, dice: Dice) -> Tensor:
    """Return an S-curve on code values, with blacks lifted and white below the maximum for some."""
    contrast, toe = dice.uniform(1.05, 1.5), dice.log_uniform(0.6, 1.1)
    code = INVERSE_EOTF["bt1886"]((light / dice.uniform(1.0, 1.5)).clamp_max(1.0))
    power = code.pow(contrast)
    curve = power / (power + toe * (1 - code).pow(contrast))
    flat = dice.chance(0.4)
    black, white = (dice.uniform(0.0, 0.06), dice.uniform(0.88, 1.0)) if flat else (0.0, 1.0)
    return black + (white - black) * curve


def _exposure(light: Tensor, dice: Dice) -> Tensor:
    """Black and white points cut off, then a power: the simplest of ExpandNet's random tone mappers."""
    black = dice.uniform(0.0, 0.01)
    return ((light - black) / (1 - black)).clamp(0.0, 1.0).pow(1 / dice.uniform(1.8, 2.2))


def _reinhard(light: Tensor, dice: Dice) -> Tensor:
    """h (1 + h / w^2) / (1 + h), Reinhard et al. 2002 (equation 4), reaching 1 at a white w; then a power."""
    white, key = dice.log_uniform(2.0, 10.0), dice.log_uniform(0.8, 2.0)
    h = (light * key).clamp_max(white)
    return (h * (1 + h / white**2) / (1 + h)).pow(1 / dice.uniform(1.8, 2.2))


def _drago(light: Tensor, dice: Dice) -> Tensor:
    """Drago et al. 2003: a logarithm whose base goes from 2 in shadows to 10 in highlights, scaled to 1 at a
    white of 2 to 12."""
    white, key = dice.log_uniform(2.0, 12.0), dice.log_uniform(3.0, 20.0)
    bias = math.log(dice.uniform(0.7, 0.9)) / math.log(0.5)
    h = light.clamp_max(white)
    curve = torch.log1p(key * h) / torch.log(2 + 8 * (h / white).pow(bias)) * math.log(10) / math.log1p(key * white)
    return curve.pow(1 / dice.uniform(1.8, 2.2))


def _mantiuk(light: Tensor, dice: Dice) -> Tensor:
    """Return all contrasts reduced alike, as the contrast mapping of Mantiuk et al. 2006 does on a whole picture."""
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
"""Curves from scene light (1.0 = exposed for SDR white) to code values by name, parameters drawn anew for
each sample."""
