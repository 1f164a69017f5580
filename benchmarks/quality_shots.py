"""The clips that the quality benchmark shows to models: light that is known, recorded by five kinds of SDR camera."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from vshdr.camera.codec import round_trip
from vshdr.camera.conditions import CONDITIONS, draw_conditions
from vshdr.camera.degradations import sensor_noise
from vshdr.camera.hdr_files import find_hdr_files, split
from vshdr.camera.motion import MotionOptions, draw_path, grid_between
from vshdr.camera.panoramas import Panoramas
from vshdr.camera.views import ViewOptions, Views, draw_views, project_pixels, render
from vshdr.colour.roll_off import RollOff, roll_off
from vshdr.metrics.flicker.equivariance import affine_grid
from vshdr.runtime.dice import Dice
from vshdr.synthetic.harbour import scene
from vshdr.synthetic.panoramas import procedural_panorama
from vshdr.temporal.warp import is_inside, warp
from vshdr.training.data import VALIDATION_SHARE

NAMES = ("ideal", "camera", "graded", "broadcast", "still")
"""The conditions, keys of `CONDITIONS`."""
FRAME_RATE = 24.0
LARGEST = 2048
"""Widest panorama that is kept in memory; wider ones are averaged down."""
CLIPPED = 0.98
"""Code value from which on a pixel counts as clipped: codecs ring around white."""
_SLOW_PAN = MotionOptions(shift=2.0, roll=0.2, zoom=0.004, shear=0.0)
_OWN_SEED = 90_000  # procedural panoramas that no training draws


@dataclass(frozen=True, kw_only=True)
class Footage:
    """T frames of scene light with exact flow."""

    name: str
    """Part of file names."""
    light: Tensor
    """T x 3 x H x W, linear, of any exposure."""
    grid: Tensor
    """T x H x W x 2: where each pixel was in the frame before, for grid_sample; the first frame has the identity."""
    valid: Tensor
    """T x 1 x H x W bool: the pixel was visible there."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """Footage seen by an SDR camera. Everything is the same for all models."""

    scene: str
    condition: str
    sdr: Tensor
    """T x 3 x H x W: code values of eight bits in [0, 1]."""
    truth: Tensor
    """T x 3 x H x W: the light that an ideal expansion gives, 1.0 = SDR white, limited to what the display shows."""
    grid: Tensor
    """As in `Footage`."""
    valid: Tensor
    """As in `Footage`."""
    move: Tensor
    """1 x H x W x 2: a random small transform (the ranges of CVPR 2019) for the equivariance error."""

    @property
    def name(self) -> str:
        return f"{self.scene}_{self.condition}"

    @property
    def middle(self) -> int:
        """The frame that is scored by itself. It is not the first, which codecs treat better than others."""
        return len(self.sdr) // 2

    @cached_property
    def moved(self) -> Tensor:
        """The scored frame under `move`, 1 x 3 x H x W, eight bits."""
        return _eight_bits(warp(self.sdr[self.middle, None], self.move))

    @property
    def inside(self) -> Tensor:
        """1 x 1 x H x W bool: here `move` looks inside the frame."""
        return is_inside(self.move)

    @property
    def clipped(self) -> Tensor:
        """T x 1 x H x W bool: brighter than SDR white, with the SDR at its maximum, so that the light is lost."""
        return self.beyond & (self.sdr.amax(dim=1, keepdim=True) >= CLIPPED)

    @property
    def beyond(self) -> Tensor:
        """T x 1 x H x W bool: the light is brighter than SDR white in some channel, clipped or not."""
        return self.truth.amax(dim=1, keepdim=True) > 1.0


def harbour_clip(time: float, frames: int, width: int, height: int) -> Footage:
    """Return the procedural scene from `time` (in seconds) on: a walking camera, moving objects and waves."""
    times = [time + index / FRAME_RATE for index in range(frames)]
    grids, valid = [_identity(height, width)], [torch.ones(1, height, width, dtype=torch.bool)]
    for before, now in zip(times, times[1:], strict=False):
        flow = scene.exact_flow(now, before, width, height)
        half = torch.tensor([width / 2, height / 2])
        grids.append(grids[0] + flow.motion.permute(1, 2, 0) / half)
        valid.append((flow.visible & flow.matt)[None])
    light = torch.stack([scene.render(now, width, height) for now in times])
    return Footage(name=f"harbour-{time:g}", light=light, grid=torch.stack(grids), valid=torch.stack(valid))


def look_around(name: str, picture: Path | Tensor, frames: int, width: int, height: int) -> Footage:
    """Return a slow pan in a panorama, or over a photo. Where it looks depends on `name` and the size only."""
    dice, size = Dice(zlib.crc32(name.encode())), (height, width)
    pictures = Panoramas([picture], max_width=LARGEST)
    view = draw_views(pictures, 1, size, ViewOptions(), dice)
    path = draw_path(pictures, view, frames, size, _SLOW_PAN, dice)
    light = render(pictures, path, size)
    before, now = _frames(path, -1, frames), _frames(path, 0, frames)
    grid, valid = grid_between(before, now, size, "cpu")
    return Footage(name=name, light=light, grid=grid, valid=valid)


def _frames(path: Views, start: int, count: int) -> Views:
    """Return views `start` and on; before the first comes the first."""
    index = torch.arange(start, start + count).clamp_min(0)
    return Views(picture=path.picture[index], level=path.level[index], matrix=path.matrix[index])


def footage(
    data: str, *, frames: int, width: int, height: int, own: int, harbour: int, limit: int
) -> Iterator[Footage]:
    """Yield `harbour` clips of the harbour, `own` synthetic panoramas, and at most `limit` of the pictures below
    the folder `data` that are held out; 0 for all of these.

    Held out are the pictures that training leaves out. Raise OSError where the folder has no pictures.
    """
    held_out = split(find_hdr_files(data), VALIDATION_SHARE)[1][: limit or None] if data else []
    for index in range(harbour):
        yield harbour_clip(0.5 + index, frames, width, height)
    for index in range(own):
        picture = procedural_panorama(_OWN_SEED + index, LARGEST // 2)
        yield look_around(f"own-{index + 1}", picture, frames, width, height)
    for path in held_out:
        yield look_around(path.stem, path, frames, width, height)


def shoot(reel: Footage, condition: str, headroom: float) -> Shot:
    """Return footage as the SDR camera of a condition records it. `headroom` is the display's peak in multiples of SDR
    white.

    In `still` the first frame is recorded again and again, with fresh noise, and compressed by itself each time.
    """
    options, seed = CONDITIONS[condition], zlib.crc32(f"{reel.name}/{condition}".encode())
    frames, _, height, width = reel.light.shape
    drawn = draw_conditions(1, (height, width), options, Dice(seed))
    still = condition == "still"
    light = drawn.tint(reel.light[:1].expand_as(reel.light) if still else reel.light)
    light = light / light[0].flatten().quantile(1.0 - drawn.clipped[0]).clamp_min(1e-6)
    noise = torch.Generator().manual_seed(seed)
    seen = [sensor_noise(frame[None], drawn.shot_noise, drawn.read_noise, noise) for frame in light]
    codes = [drawn.curves.encode(frame) for frame in seen]
    codec = drawn.codec[0]

    def compress(clip: Tensor) -> Tensor:
        return round_trip(clip, *codec) if codec else clip

    if still:
        sdr = torch.cat([compress(frame.expand(options.codec_frames, -1, -1, -1))[-1:] for frame in codes])
    else:
        sdr = compress(torch.cat(codes))
    truth = torch.cat([drawn.curves.truth(frame[None]) for frame in light])
    return Shot(
        scene=reel.name,
        condition=condition,
        sdr=_eight_bits(sdr),
        truth=roll_off(truth, RollOff.below(headroom)),
        grid=_identity(height, width).expand(frames, -1, -1, -1) if still else reel.grid,
        valid=torch.ones_like(reel.valid) if still else reel.valid,
        move=affine_grid(1, height, width, noise),
    )


def _identity(height: int, width: int) -> Tensor:
    """Return the grid that leaves each pixel where it is, H x W x 2."""
    return project_pixels(torch.eye(3, dtype=torch.float64)[None], (height, width))[0, :2].permute(1, 2, 0).float()


def _eight_bits(sdr: Tensor) -> Tensor:
    return (sdr.clamp(0.0, 1.0) * 255.0).round() / 255.0
