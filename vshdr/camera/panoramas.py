"""Pictures of real light for the virtual camera: equirectangular panoramas and HDR photos, kept on the
training device.

All pictures lie in one tensor of half-precision texels with their smaller copies (a mip pyramid), so that a
batch of views of different pictures, at different scales, is one gather without a transfer from the host.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import OpenEXR
import torch
from torch import Tensor
from torch.nn import functional

from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import luminance, rgb_to_xyz
from vshdr.errors import FileError, InputError
from vshdr.synthetic.panoramas import procedural_panorama

HALF_MAXIMUM = 65504.0
SUFFIXES = (".exr", ".hdr")
LEVELS = 5
"""Copies of each picture: full size, 1/2, 1/4, 1/8 and 1/16."""
LIGHTS = 8
"""Bright places that are remembered of each picture."""


def load_folder(folder: str | Path) -> list[Path]:
    """Return all .exr and .hdr files below `folder`, sorted. Raise FileError where there are none."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FileError(f"{folder}: no .exr or .hdr file is in this folder or below it")
    return paths


def scene_name(path: str | Path) -> str:
    """Return what stays of a file's name without resolution, number and sky-only suffix: `studio_small_03_1k.hdr` is
    `studio_small`.

    Pictures of one place, named in the way of Poly Haven, share it.
    """
    return re.sub(r"(_\d+k|_puresky|_\d+)+$", "", Path(path).stem) or Path(path).stem


def split(
    paths: Sequence[Path], share: float, seed: int = 0, scene: Callable[[Path], str] = scene_name
) -> tuple[list[Path], list[Path]]:
    """Return training and validation paths: a `share` of the scenes, at least one, goes whole to validation. `scene`
    names that of a path.

    A scene's place in the draw depends on its name and `seed` only, so that adding pictures moves few scenes.
    Raise InputError where nothing would be left for training.
    """
    scenes = sorted(
        {scene(path) for path in paths},
        key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest(),
    )
    held = set(scenes[: max(1, round(share * len(scenes)))])
    training = [path for path in paths if scene(path) not in held]
    if not training:
        raise InputError(f"a share of {share:g} of {len(scenes)} scenes leaves nothing to train on; give more pictures")
    return training, [path for path in paths if scene(path) in held]


def read_picture(path: str | Path) -> Tensor:
    """Return linear light of an .exr or Radiance .hdr file as it is stored, 3 x H x W float32 >= 0, in BT.709
    primaries.

    An EXR that names other chromaticities is converted. Raise InputError where the file cannot be read.
    """
    path = Path(path)
    picture = _read_exr(path) if path.suffix.lower() == ".exr" else _read_radiance(path)
    return torch.from_numpy(np.nan_to_num(picture, posinf=HALF_MAXIMUM)).clamp_min(0.0)


def _read_exr(path: Path) -> np.ndarray:
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels, header = file.channels(), dict(file.header())
            picture = np.stack([channels[name].pixels for name in "RGB"]).astype(np.float32)
    except (RuntimeError, ValueError, KeyError, OSError):
        raise InputError(f"{path}: this is not a complete EXR file with R, G and B") from None
    if "chromaticities" in header:
        to_bt709 = np.linalg.inv(rgb_to_xyz(Primaries.BT709).numpy()) @ _xyz(header["chromaticities"])
        if np.abs(to_bt709 - np.eye(3)).max() > 0.01:  # else the same primaries, rounded
            picture = np.einsum("ij,jhw->ihw", to_bt709.astype(np.float32), picture)
    return picture


def _xyz(chromaticities: Sequence[float]) -> np.ndarray:
    """Return the matrix from RGB with these primaries and white, eight numbers, to CIE XYZ."""
    x, y = np.reshape(chromaticities, (4, 2)).astype(float).T
    points = np.stack((x / y, np.ones(4), (1 - x - y) / y))
    return points[:, :3] * np.linalg.solve(points[:, :3], points[:, 3])


def _read_radiance(path: Path) -> np.ndarray:
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            return np.moveaxis(frame.to_ndarray(format="gbrpf32le"), 2, 0).copy()
    except (av.FFmpegError, StopIteration, IndexError):
        raise InputError(f"{path}: this is not a Radiance HDR picture that can be read") from None


def sampling_weight(path: str | Path) -> float:
    """Return how often a picture is drawn: sky-only panoramas, named `..._puresky`, a quarter as often, for they
    look much alike."""
    return 0.25 if "_puresky" in Path(path).stem else 1.0


class Level(NamedTuple):
    """Where the texels of one size of one picture lie."""

    start: int
    height: int
    width: int


class Panoramas:
    """Pictures on a device. Those twice as wide as high are panoramas of the whole sphere, the others photos.

    Each picture is scaled by a power of two that brings its median luminance between 0.125 and 0.25, so that
    half precision keeps its shadows; light beyond 65504 is clamped. The virtual camera exposes anew, so the
    scale has no meaning.
    """

    def __init__(
        self,
        pictures: Sequence[Path | Tensor],
        device: torch.device | str = "cpu",
        *,
        max_width: int = 2048,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        """Read `pictures`: paths, or tensors 3 x H x W of linear light. Those wider than `max_width` are
        averaged down.

        Raise InputError where a file cannot be read, is black, or no picture is given.
        """
        if not pictures:
            raise InputError("no pictures were given; name a folder with .exr or .hdr files")
        self.names = [
            f"picture {index}" if isinstance(picture, Tensor) else Path(picture).stem
            for index, picture in enumerate(pictures)
        ]
        self.weights = torch.tensor(
            [1.0 if isinstance(picture, Tensor) else sampling_weight(picture) for picture in pictures]
        )
        self.levels: list[list[Level]] = []
        self.spherical: list[bool] = []
        self.lights: list[Tensor] = []
        texels: list[Tensor] = []
        start = 0
        for name, picture in zip(self.names, pictures, strict=True):
            light = picture if isinstance(picture, Tensor) else read_picture(picture)
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
        self.texels = torch.cat(texels).contiguous().to(device)
        """T x 3: all pictures at all sizes, row by row."""
        self.device = self.texels.device

    @classmethod
    def procedural(
        cls, count: int = 8, seed: int = 0, device: torch.device | str = "cpu", *, width: int = 1024
    ) -> Panoramas:
        """Return synthetic panoramas: skies with a sun, rooms and streets with lamps. Enough for tests and
        demonstrations."""
        return cls(
            [procedural_panorama(seed * 1000 + index, width) for index in range(count)],
            device,
            max_width=width,
        )

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, picture: Tensor, level: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return light N x 3 x H x W of picture and level numbers N (on the CPU) at places N x H x W in [0, 1]
        across and down.

        Bilinear. Panoramas continue from the right edge to the left; all else repeats its edge.
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
        upper, lower = (torch.lerp(*(self._texels(row + column) for column in columns), across) for row in rows)
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
    bright = luminance(light[None]).flatten()
    middle = float(bright.median()) or float(bright.mean())
    if middle == 0.0:
        raise InputError(f"{name}: the picture is black; take it out of the folder")
    return light * 2.0 ** (-2 - np.ceil(np.log2(middle)))


def _bright_places(light: Tensor) -> Tensor:
    """Return LIGHTS x 2: x and y in [0, 1] of the brightest of 32 x 16 fields, where light is lost first."""
    fields, index = functional.adaptive_max_pool2d(luminance(light[None]), (16, 32), return_indices=True)
    best = index.flatten()[fields.flatten().topk(LIGHTS).indices]
    height, width = light.shape[1:]
    return torch.stack(((best % width + 0.5) / width, (best // width + 0.5) / height), dim=1)
