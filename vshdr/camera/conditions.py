"""Under which conditions a virtual camera takes a picture: what may be drawn, and the draw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from vshdr.camera.codec import ENCODERS
from vshdr.camera.curves import FAMILIES, Curves, draw_curves
from vshdr.camera.degradations import jpeg_steps
from vshdr.camera.overlays import KINDS, draw_overlays
from vshdr.camera.views import MotionOptions, ViewOptions
from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import rgb_to_xyz
from vshdr.errors import InputError
from vshdr.runtime.dice import Dice

GRAPHICS = tuple(kind for kind in KINDS if kind != "bars")


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
    """What a virtual camera draws. Shares are of samples, in [0, 1]; ranges are (from, to)."""

    view: ViewOptions = ViewOptions()
    """Where the camera looks."""
    motion: MotionOptions = MotionOptions()
    """How far the second view of a pair moves, and a clip per frame."""
    curves: Mapping[str, float] = field(default_factory=_curves)
    """Weights of curve families, keys of `curves.FAMILIES`."""
    clipped: tuple[tuple[float, float, float], ...] = (
        (0.5, 0.05, 0.15),
        (0.25, 0.005, 0.05),
        (0.15, 0.15, 0.35),
        (0.1, 0.0001, 0.002),
    )
    """Weight, lowest and highest share of a picture's samples that are brighter than SDR white: HDRCNN's 5 to
    15 %, and beside it fewer, more, and nearly none."""
    white_balance: float = 0.12
    """Standard deviation of the gains of red and blue, in stops."""
    hue: float = 7.0
    """Standard deviation of a turn of all hues in degrees (HDRCNN: 7)."""
    saturation: float = 0.1
    """Standard deviation of the logarithm of a factor of saturation (HDRCNN: 0.1)."""
    noise: float = 0.7
    """Share with sensor noise."""
    shot: tuple[float, float] = (1e-6, 1e-3)
    """Variance of shot noise at SDR white; drawn evenly in its logarithm."""
    read: tuple[float, float] = (1e-4, 5e-3)
    """Standard deviation of read noise in linear light; drawn evenly in its logarithm."""
    rgb: float = 0.15
    """Share that is stored as full-range RGB, as still pictures are; the others as limited-range YCbCr."""
    ten_bit: float = 0.3
    """Share with 10 bits; the others have 8."""
    subsample: float = 0.85
    """Share of YCbCr samples with chroma at half size (4:2:0); the others keep it (4:4:4)."""
    dct: float = 0.5
    """Share of YCbCr samples whose 8 x 8 DCT is quantised, half of them with JPEG's tables and half with flat
    ones."""
    quality: tuple[int, int] = (30, 98)
    """JPEG quality of that quantisation."""
    codec: float = 0.15
    """Share that goes through a real video encoder, on the host."""
    codecs: tuple[str, ...] = ("h264", "hevc")
    """Which encoders: keys of `codec.ENCODERS`."""
    crf: tuple[int, int] = (18, 30)
    """Their constant rate factor."""
    codec_frames: int = 3
    """How often the encoder sees the frame; the last one is taken, so that prediction between frames has
    acted."""
    bars: float = 0.1
    """Share with black letterbox or pillarbox bars."""
    graphics: float = 0.3
    """Share with a subtitle, title, logo, page or panel, whose white is SDR white."""

    def __post_init__(self) -> None:
        for name in ("noise", "rgb", "ten_bit", "subsample", "dct", "codec", "bars", "graphics"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"{name} is a share of samples, from 0 to 1, not {getattr(self, name):g}")
        for name, table in (("curves", FAMILIES), ("codecs", ENCODERS)):
            for key in getattr(self, name):
                if key not in table:
                    raise InputError(f"{name} may name {', '.join(table)}, not '{key}'")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What was drawn for N samples."""

    kind: list[str]
    """In words."""
    clipped: list[float]
    """Shares of samples beyond SDR white."""
    colour: Tensor
    """N x 3 x 3: white balance, hue and saturation on linear light."""
    curves: Curves
    shot: Tensor
    """N variances of shot noise at 1.0."""
    read: Tensor
    """N standard deviations of read noise."""
    form: list[str]
    """"rgb", "444" or "420"."""
    bits: Tensor
    """N numbers, 8 or 10."""
    steps: list[tuple[Tensor, Tensor] | None]
    """DCT quantisation steps, see `degrade.jpeg_steps`."""
    codec: list[tuple[str, int] | None]
    """Video codec and constant rate factor."""
    overlay: Tensor | None
    """N x 4 x H x W, see `overlays`; None where no sample has one."""

    def to(self, device: torch.device) -> Conditions:
        moved = {name: getattr(self, name).to(device) for name in ("colour", "curves", "shot", "read", "bits")}
        return replace(self, **moved, overlay=None if self.overlay is None else self.overlay.to(device))

    def tint(self, light: Tensor) -> Tensor:
        """Return linear light N x 3 x H x W with the drawn white balance, hue and saturation."""
        return torch.einsum("nij,njhw->nihw", self.colour, light).clamp_min(0.0)


def draw_conditions(count: int, size: tuple[int, int], options: CameraOptions, dice: Dice) -> Conditions:
    """Return the conditions of `count` samples of (height, width) `size`, on the CPU."""
    families = list(options.curves)
    curves = [families[dice.pick(list(options.curves.values()))] for _ in range(count)]
    noisy = [dice.chance(options.noise) for _ in range(count)]
    forms = [
        "rgb" if dice.chance(options.rgb) else "420" if dice.chance(options.subsample) else "444" for _ in range(count)
    ]
    codecs = [
        (options.codecs[dice.below(len(options.codecs))], round(dice.uniform(*options.crf)))
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
                f"{codec[0]}-crf{codec[1]}" if codec else form,
                "dct" if step else "",
                overlay,
            )
            if part
        )
        for curve, noise, form, codec, step, overlay in zip(curves, noisy, forms, codecs, steps, overlays, strict=True)
    ]
    return Conditions(
        kind=kind,
        clipped=[
            dice.uniform(*options.clipped[dice.pick([entry[0] for entry in options.clipped])][1:]) for _ in range(count)
        ],
        colour=torch.stack([_colour(options, dice) for _ in range(count)]),
        curves=draw_curves(curves, dice),
        shot=torch.tensor([dice.log_uniform(*options.shot) if noise else 0.0 for noise in noisy]),
        read=torch.tensor([dice.log_uniform(*options.read) if noise else 0.0 for noise in noisy]),
        form=forms,
        bits=torch.tensor([10.0 if dice.chance(options.ten_bit) else 8.0 for _ in range(count)]),
        steps=steps,
        codec=codecs,
        overlay=draw_overlays(overlays, size, dice) if any(overlays) else None,
    )


def _colour(options: CameraOptions, dice: Dice) -> Tensor:
    """Luminance stays, what differs from grey is turned about the grey axis and scaled; then red and blue
    have gains."""
    angle = math.radians(dice.normal(0.0, options.hue))
    grey = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    turn = math.cos(angle) * torch.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * grey
    luminance = rgb_to_xyz(Primaries.BT709)[1].float().expand(3, 3)
    matrix = luminance + math.exp(dice.normal(0.0, options.saturation)) * turn @ (torch.eye(3) - luminance)
    gains = torch.tensor([dice.normal(0.0, options.white_balance), 0.0, dice.normal(0.0, options.white_balance)])
    return torch.diag(torch.exp2(gains)) @ matrix
