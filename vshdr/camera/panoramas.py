"""What the virtual camera looks at: equirectangular panoramas and HDR photos, kept on the training device.

All pictures and their smaller copies (mip pyramids) are in one tensor of half-precision texels. So a batch of views of
different pictures at different scales is one gather, without a transfer from the host.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.camera.hdr_files import HALF_MAXIMUM, read_hdr, sampling_weight
from vshdr.colour.primaries import luminance
from vshdr.errors import InputError
from vshdr.synthetic.panoramas import procedural_panorama

LEVELS = 5
"""Levels of each mip pyramid: full size, 1/2, 1/4, 1/8 and 1/16."""
LIGHTS = 8
"""Number of bright places that are kept for each picture."""


class Level(NamedTuple):
    """Where the texels of one level of one picture are."""

    start: int
    height: int
    width: int


class Panoramas:
    """Pictures on a device. Those twice as wide as high are panoramas of the whole sphere, the others are photos.

    Each picture is scaled by a power of two that brings its median luminance between 0.125 and 0.25, so that half
    precision keeps its shadows. Light above 65504 is clamped. The scale has no meaning, because the virtual camera
    exposes each view anew.
    """

    def __init__(
        self,
        pictures: Sequence[Path | Tensor],
        device: torch.device | str = "cpu",
        *,
        max_width: int = 2048,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        """Read `pictures`, paths or tensors 3 x H x W of linear light. Those wider than `max_width` are averaged down.

        Raise InputError if a file cannot be read, a picture is black or none is given.
        """
        if not pictures:
            raise InputError("no pictures were given; name a folder with .exr or .hdr files")
        self.names: list[str] = [
            f"picture {index}" if isinstance(picture, Tensor) else Path(picture).stem
            for index, picture in enumerate(pictures)
        ]
        self.weights: Tensor = torch.tensor(
            [1.0 if isinstance(picture, Tensor) else sampling_weight(picture) for picture in pictures]
        )
        self.levels: list[list[Level]] = []
        self.spherical: list[bool] = []
        self.lights: list[Tensor] = []
        texels: list[Tensor] = []
        start = 0
        for name, picture in zip(self.names, pictures, strict=True):
            light = picture if isinstance(picture, Tensor) else read_hdr(picture)
            self.spherical.append(light.shape[2] == 2 * light.shape[1])
            light = _scale(_shrink(light.float(), max_width), name).clamp_max(HALF_MAXIMUM)
            self.lights.append(_bright_places(light))
            levels = []
            for index in range(LEVELS):
                if index:
                    light = functional.avg_pool2d(light, 2, ceil_mode=True, count_include_pad=False)
                levels.append(Level(start, *light.shape[1:]))
                texels.append(light.flatten(1).T.to(dtype))
                start += levels[-1].height * levels[-1].width
            self.levels.append(levels)
        self.texels: Tensor = torch.cat(texels).contiguous().to(device)
        """T x 3: the texels of all pictures at all levels, row by row."""
        self.device: torch.device = self.texels.device

    @classmethod
    def procedural(
        cls, count: int = 8, seed: int = 0, device: torch.device | str = "cpu", *, width: int = 1024
    ) -> Panoramas:
        """Return `count` synthetic panoramas: skies with a sun, and rooms with windows and lamps."""
        return cls(
            [procedural_panorama(seed * 1000 + index, width) for index in range(count)],
            device,
            max_width=width,
        )

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, picture: Tensor, level: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the light at `x` and `y`, N x H x W in [0, 1] across and down, as N x 3 x H x W, sampled bilinearly.

        `picture` and `level` are N numbers each, on the CPU. Panoramas continue from the right edge to the left; other
        edges are repeated.
        """
        chosen = [self.levels[p][m] for p, m in zip(picture.tolist(), level.tolist(), strict=True)]
        table = torch.tensor([(*entry, self.spherical[p]) for entry, p in zip(chosen, picture.tolist(), strict=True)])
        start, height, width, sphere = table.to(x.device)[:, :, None, None].unbind(1)
        x, y = x * width - 0.5, y * height - 0.5
        left, top = x.floor(), y.floor()
        across, down = (x - left).unsqueeze(-1), (y - top).unsqueeze(-1)
        columns = [
            torch.where(sphere > 0, column % width, column.clamp_min(0).minimum(width - 1))
            for column in (left.long(), left.long() + 1)
        ]
        rows = [start + row.clamp_min(0).minimum(height - 1) * width for row in (top.long(), top.long() + 1)]
        upper, lower = (
            torch.lerp(self._texels(row + columns[0]), self._texels(row + columns[1]), across) for row in rows
        )
        return torch.lerp(upper, lower, down).permute(0, 3, 1, 2).contiguous()

    def _texels(self, index: Tensor) -> Tensor:
        return self.texels.index_select(0, index.flatten()).float().reshape(*index.shape, 3)


def _shrink(light: Tensor, max_width: int) -> Tensor:
    height, width = light.shape[1:]
    if width <= max_width:
        return light
    size = max(1, round(height * max_width / width)), max_width
    return functional.interpolate(light[None], size, mode="area")[0]


def _scale(light: Tensor, name: str) -> Tensor:
    """Return `light` times the power of two that brings its median luminance to (0.125, 0.25]."""
    bright = luminance(light[None]).flatten()
    middle = float(bright.median()) or float(bright.mean())
    if middle == 0.0:
        raise InputError(f"{name}: the picture is black; take it out of the folder")
    return light * 2.0 ** (-2 - math.ceil(math.log2(middle)))


def _bright_places(light: Tensor) -> Tensor:
    """Return x and y in [0, 1] of the brightest of 32 x 16 fields, LIGHTS x 2: where light is clipped first."""
    fields, index = functional.adaptive_max_pool2d(luminance(light[None]), (16, 32), return_indices=True)
    best = index.flatten()[fields.flatten().topk(LIGHTS).indices]
    height, width = light.shape[1:]
    return torch.stack(((best % width + 0.5) / width, (best // width + 0.5) / height), dim=1)
