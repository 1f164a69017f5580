"""The conditions under which the virtual camera takes pictures: what may be drawn (`CameraOptions`), sets of options by
name (`CONDITIONS`), and what was drawn (`DrawnConditions`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vshdr.camera.codec import ENCODERS, CodecSetting
from vshdr.camera.curves import FAMILIES, Curves, draw_curves
from vshdr.camera.degradations import DctSteps, jpeg_steps
from vshdr.camera.motion import MotionOptions
from vshdr.camera.overlays import KINDS, draw_overlays
from vshdr.camera.views import ViewOptions
from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import rgb_to_xyz
from vshdr.errors import InputError
from vshdr.runtime.dice import Dice

GRAPHICS = tuple(kind for kind in KINDS if kind != "bars")
"""Kinds of overlays that are graphics: all but letterbox and pillarbox bars."""


class ClippedRange(NamedTuple):
    """A range of shares of samples that are brighter than SDR white, and how often it is chosen."""

    weight: float
    lowest: float
    highest: float


def _curves() -> dict[str, float]:
    return {
        "ideal": 0.25,
        "srgb": 0.05,
        "sigmoid": 0.2,
        "graded": 0.25,
        "film": 0.1,
        "exposure": 0.04,
        "reinhard": 0.04,
        "drago": 0.04,
        "mantiuk": 0.03,
    }


@dataclass(frozen=True, kw_only=True)
class CameraOptions:
    """What the virtual camera may draw. Shares are of pictures, in [0, 1]; ranges are (from, to)."""

    view: ViewOptions = ViewOptions()
    """Where it looks."""
    motion: MotionOptions = MotionOptions()
    """How far it moves between the two views of a pair, or from one frame of a clip to the next."""
    curves: Mapping[str, float] = field(default_factory=_curves)
    """How often each family of curves is drawn, relative to the others: weights by key of `curves.FAMILIES`."""
    clipped: tuple[ClippedRange, ...] = (
        ClippedRange(0.5, 0.05, 0.15),
        ClippedRange(0.25, 0.005, 0.05),
        ClippedRange(0.15, 0.15, 0.35),
        ClippedRange(0.1, 0.0001, 0.002),
    )
    """How much of a picture is brighter than SDR white: 5 to 15 % of its samples as for HDRCNN, but also less, more and
    nearly nothing."""
    white_balance: float = 0.12
    """Standard deviation of the gains of red and blue, in stops."""
    hue: float = 7.0
    """Standard deviation of a rotation of all hues, in degrees (HDRCNN: 7)."""
    saturation: float = 0.1
    """Standard deviation of the natural logarithm of a factor on saturation (HDRCNN: 0.1)."""
    noise: float = 0.7
    """Share with sensor noise."""
    shot_noise: tuple[float, float] = (1e-6, 1e-3)
    """Variance of shot noise at SDR white; its logarithm is drawn evenly."""
    read_noise: tuple[float, float] = (1e-4, 5e-3)
    """Standard deviation of read noise in linear light; its logarithm is drawn evenly."""
    rgb: float = 0.15
    """Share that is stored as full-range RGB, like still pictures; the others are stored as limited-range YCbCr."""
    ten_bit: float = 0.3
    """Share with 10 bits; the others have 8."""
    subsample: float = 0.85
    """Share of YCbCr pictures with 4:2:0 chroma; the others have 4:4:4."""
    dct: float = 0.5
    """Share of YCbCr pictures whose 8 x 8 DCT is quantised, half of them with JPEG's tables and half with flat ones."""
    quality: tuple[int, int] = (30, 98)
    """JPEG quality of that quantisation."""
    codec: float = 0.15
    """Share that goes through a real video encoder, on the CPU."""
    codecs: tuple[str, ...] = ("h264", "hevc")
    """Codecs to choose from: keys of `codec.ENCODERS`."""
    crf: tuple[int, int] = (18, 30)
    """Constant rate factor of these encoders."""
    codec_frames: int = 3
    """How often the encoder is given the frame; the last one is used, which was predicted from those before."""
    bars: float = 0.1
    """Share with black letterbox or pillarbox bars."""
    graphics: float = 0.3
    """Share with a subtitle, title, logo, page or panel; their white is SDR white."""

    def __post_init__(self) -> None:
        for name in ("noise", "rgb", "ten_bit", "subsample", "dct", "codec", "bars", "graphics"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"{name} is a share of samples, from 0 to 1, not {getattr(self, name):g}")
        for name, table in (("curves", FAMILIES), ("codecs", ENCODERS)):
            for key in getattr(self, name):
                if key not in table:
                    raise InputError(f"{name} may name {', '.join(table)}, not '{key}'")


_PLAIN = CameraOptions(
    noise=0.0,
    ten_bit=0.0,
    dct=0.0,
    codec=0.0,
    bars=0.0,
    graphics=0.0,
    clipped=(ClippedRange(1.0, 0.05, 0.15),),
)
_BROADCAST = replace(_PLAIN, codec=1.0, curves={"ideal": 1.0}, codecs=("h264",), crf=(23, 23))
CONDITIONS: dict[str, CameraOptions] = {
    "mixed": CameraOptions(),
    "ideal": replace(_PLAIN, curves={"ideal": 1.0}, rgb=1.0),
    "camera": replace(_PLAIN, noise=1.0, curves={"sigmoid": 1.0}, rgb=1.0),
    "graded": replace(_PLAIN, curves={"graded": 1.0}, rgb=1.0),
    "broadcast": _BROADCAST,
    "still": replace(_BROADCAST, noise=1.0, motion=MotionOptions(shift=0.0, roll=0.0, zoom=0.0, shear=0.0)),
}
"""Options by name: everything mixed, as in training, and single conditions for measurements."""


@dataclass(frozen=True, kw_only=True)
class DrawnConditions:
    """What was drawn for N pictures."""

    kind: list[str]
    """N descriptions, such as "graded+noise+420+dct+subtitle"."""
    clipped: list[float]
    """N shares of samples that are brighter than SDR white."""
    colour: Tensor
    """N x 3 x 3 matrices on linear light: white balance, hue and saturation."""
    curves: Curves
    """N curves from light to code values."""
    shot_noise: Tensor
    """N variances of shot noise at SDR white."""
    read_noise: Tensor
    """N standard deviations of read noise in linear light."""
    form: list[str]
    """N forms of storage: "rgb", "444" or "420"."""
    bits: Tensor
    """N bit depths, 8 or 10."""
    steps: list[DctSteps | None]
    """N times the steps of DCT quantisation, None for none."""
    codec: list[CodecSetting | None]
    """N times the video codec, None for none."""
    overlay: Tensor | None
    """N x 4 x H x W (see `overlays`); None if no picture has one."""

    def to(self, device: torch.device) -> DrawnConditions:
        """Return the same conditions on `device`."""
        names = ("colour", "curves", "shot_noise", "read_noise", "bits")
        moved = {name: getattr(self, name).to(device) for name in names}
        return replace(self, **moved, overlay=None if self.overlay is None else self.overlay.to(device))

    def tint(self, light: Tensor) -> Tensor:
        """Return linear light N x 3 x H x W with the drawn white balance, hue and saturation."""
        return torch.einsum("nij,njhw->nihw", self.colour, light).clamp_min(0.0)


def draw_conditions(count: int, size: tuple[int, int], options: CameraOptions, dice: Dice) -> DrawnConditions:
    """Return the conditions of `count` pictures of (height, width) `size`, on the CPU."""
    families = list(options.curves)
    curves = [families[dice.pick(list(options.curves.values()))] for _ in range(count)]
    noisy = [dice.chance(options.noise) for _ in range(count)]
    forms = [
        "rgb" if dice.chance(options.rgb) else "420" if dice.chance(options.subsample) else "444" for _ in range(count)
    ]
    codecs = [
        CodecSetting(options.codecs[dice.below(len(options.codecs))], round(dice.uniform(*options.crf)))
        if dice.chance(options.codec)
        else None
        for _ in range(count)
    ]
    steps = [
        jpeg_steps(round(dice.uniform(*options.quality)), flat=dice.chance(0.5))
        if form != "rgb" and codec is None and dice.chance(options.dct)
        else None
        for form, codec in zip(forms, codecs, strict=True)
    ]
    overlays = [
        "+".join(
            (["bars"] if dice.chance(options.bars) else [])
            + ([GRAPHICS[dice.below(len(GRAPHICS))]] if dice.chance(options.graphics) else [])
        )
        for _ in range(count)
    ]
    kind = [
        "+".join(
            part
            for part in (
                curve,
                "noise" if noise else "",
                f"{codec.codec}-crf{codec.crf}" if codec else form,
                "dct" if step else "",
                overlay,
            )
            if part
        )
        for curve, noise, form, codec, step, overlay in zip(curves, noisy, forms, codecs, steps, overlays, strict=True)
    ]
    return DrawnConditions(
        kind=kind,
        clipped=[_clipped(options, dice) for _ in range(count)],
        colour=torch.stack([_colour(options, dice) for _ in range(count)]),
        curves=draw_curves(curves, dice),
        shot_noise=torch.tensor([dice.log_uniform(*options.shot_noise) if noise else 0.0 for noise in noisy]),
        read_noise=torch.tensor([dice.log_uniform(*options.read_noise) if noise else 0.0 for noise in noisy]),
        form=forms,
        bits=torch.tensor([10.0 if dice.chance(options.ten_bit) else 8.0 for _ in range(count)]),
        steps=steps,
        codec=codecs,
        overlay=draw_overlays(overlays, size, dice) if any(overlays) else None,
    )


def _clipped(options: CameraOptions, dice: Dice) -> float:
    """Return a share of samples that are brighter than SDR white."""
    chosen = options.clipped[dice.pick([entry.weight for entry in options.clipped])]
    return dice.uniform(chosen.lowest, chosen.highest)


def _colour(options: CameraOptions, dice: Dice) -> Tensor:
    """Return a 3 x 3 matrix that keeps luminance, rotates hues about the grey axis and scales saturation, and after
    that multiplies red and blue by the gains of a white balance.
    """
    angle = math.radians(dice.normal(0.0, options.hue))
    grey = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    turn = math.cos(angle) * torch.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * grey
    luminance = rgb_to_xyz(Primaries.BT709)[1].float().expand(3, 3)
    matrix = luminance + math.exp(dice.normal(0.0, options.saturation)) * turn @ (torch.eye(3) - luminance)
    gains = torch.tensor([dice.normal(0.0, options.white_balance), 0.0, dice.normal(0.0, options.white_balance)])
    return torch.diag(torch.exp2(gains)) @ matrix
