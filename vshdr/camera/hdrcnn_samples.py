"""Training samples in the file format of HDRCNN's virtual camera: `bin/im_%06d_%06d.bin` with the light and
`jpg/im_%06d_%06d.jpg` with its picture.

A .bin file is little-endian float32: height, width, channels, n and sigma of the camera response, then the pixels, row
by row, RGB interleaved. The linear light is exposed so that the camera clips at 1.0.

The published program writes the header before it draws the response. So n and sigma are those of the previous crop, and
in the first crop they are undefined. They are never used here: `fit_response` finds the response from the pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from vshdr.camera.curves import SIGMOID, Curves, sigmoid_curve
from vshdr.camera.pairs import Pair
from vshdr.colour.camera_response import camera_response
from vshdr.errors import FileError, InputError, MissingPackageError
from vshdr.runtime.dice import Dice

_FITTED = 4096  # values, about, to which a response is fitted, however large the sample is
_LEAST = 64  # unclipped values without which nothing can be fitted


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample as it is stored."""

    sdr: Tensor
    """3 x H x W code values in [0, 1]."""
    scene: Tensor
    """3 x H x W linear light; the camera clips at 1.0."""
    n: float
    """n of the camera response (1 + sigma) h^n / (h^n + sigma), as the header has it."""
    sigma: float
    """sigma of the response, as the header has it."""


def find_samples(folder: str | Path) -> list[tuple[Path, Path]]:
    """Return the .bin and .jpg paths of every sample in `folder`, sorted.

    Raise FileError if there is none or a .bin has no .jpg.
    """
    samples = [(path, Path(folder, "jpg", path.stem + ".jpg")) for path in sorted(Path(folder, "bin").glob("im_*.bin"))]
    if not samples:
        raise FileError(f"{folder}: there is no bin/im_*.bin in this folder")
    for light, picture in samples:
        if not picture.exists():
            raise FileError(f"{picture}: this file is missing; {light.name} needs it")
    return samples


def source_name(light: Path) -> str:
    """Return the name of the source picture of a sample: im_000012 for im_000012_000003.bin."""
    return light.stem.rpartition("_")[0]


def read_sdr(path: str | Path) -> Tensor:
    """Return the code values in [0, 1], 3 x H x W, of a JPEG or 8-bit PNG. Raise InputError if it cannot be read."""
    try:
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
    except (UnidentifiedImageError, OSError):
        raise InputError(f"{path}: this picture cannot be read") from None


def read_sample(light: str | Path, picture: str | Path) -> Sample:
    """Return the sample in a .bin and a .jpg file. Raise InputError if one is damaged or their sizes differ."""
    data = np.fromfile(light, dtype="<f4")
    if len(data) < 5 or not all(1 <= length <= 65536 for length in data[:3]) or data[2] != 3:
        raise InputError(f"{light}: this is no sample of HDRCNN's virtual camera with three channels")
    height, width, channels = (int(length) for length in data[:3])
    count = height * width * channels
    if len(data) < 5 + count:
        raise InputError(f"{light}: {5 + count} numbers were expected, there are {len(data)}; the file is cut off")
    scene = torch.from_numpy(data[-count:].reshape(height, width, channels).astype(np.float32)).permute(2, 0, 1)
    sdr = read_sdr(picture)
    if sdr.shape != scene.shape:
        raise InputError(
            f"{picture}: {sdr.shape[2]} x {sdr.shape[1]} pixels, but {width} x {height} in {Path(light).name}"
        )
    return Sample(sdr=sdr.contiguous(), scene=scene.contiguous(), n=float(data[3]), sigma=float(data[4]))


def write_sample(folder: str | Path, source: int, crop: int, sample: Sample, *, quality: int = 95) -> tuple[Path, Path]:
    """Write crop number `crop` of source number `source`, both from 1. Return the paths of the .bin and the .jpg."""
    name = f"im_{source:06d}_{crop:06d}"
    light, picture = Path(folder, "bin", name + ".bin"), Path(folder, "jpg", name + ".jpg")
    for path in (light, picture):
        path.parent.mkdir(parents=True, exist_ok=True)
    channels, height, width = sample.scene.shape
    header = np.array([height, width, channels, sample.n, sample.sigma], dtype="<f4")
    pixels = sample.scene.permute(1, 2, 0).contiguous().numpy().astype("<f4")
    light.write_bytes(header.tobytes() + pixels.tobytes())
    code = (sample.sdr.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(code).save(picture, quality=quality, subsampling=0)
    return light, picture


def _least_squares() -> Callable[..., Any]:
    """Return SciPy's solver. Raise MissingPackageError if SciPy is not installed."""
    try:
        from scipy.optimize import least_squares
    except ModuleNotFoundError:
        raise MissingPackageError("HDRCNN's samples need SciPy; install it with pip install 'vshdr[train]'") from None
    return least_squares


def fit_response(sample: Sample) -> Curves:
    """Return the camera response of a sample, by a robust fit to values that are neither black nor clipped.

    If there are fewer than 64 such values, it is the mean response of HDRCNN's camera. Raise MissingPackageError if
    SciPy is not installed.
    """
    light, code = sample.scene.flatten(), sample.sdr.flatten()
    usable = (light > 1e-4) & (light < 1.0) & (code > 0.02) & (code < 0.98)
    light, code = light[usable].double(), code[usable].double()
    if len(light) < _LEAST:
        return sigmoid_curve(*SIGMOID.mean)
    least_squares = _least_squares()
    step = max(1, len(light) // _FITTED)
    light, code = light[::step], code[::step]

    def error(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        n, sigma = parameters
        return (camera_response(light, float(n), float(sigma)) - code).numpy()

    # The loss is robust because JPEG rings at edges.
    n, sigma = least_squares(error, SIGMOID.mean, bounds=SIGMOID.bounds, loss="soft_l1", f_scale=0.02).x
    return sigmoid_curve(float(n), float(sigma))


class StoredSamples:
    """Samples on disk, with the interface of `VirtualCamera`: `pair` draws some of them, without second views."""

    def __init__(
        self,
        paths: Sequence[tuple[Path, Path]],
        device: torch.device | str = "cpu",
        *,
        size: tuple[int, int] = (256, 256),
        seed: int = 0,
    ) -> None:
        """Draw crops of (height, width) `size` from the samples `paths` (see `find_samples`).

        Raise MissingPackageError if SciPy is not installed.
        """
        _least_squares()
        self._paths = paths
        self.device: torch.device = torch.device(device)
        self.size = size
        self._dice = Dice(seed)

    def pair(self, n: int, *, stability: bool = False) -> Pair:
        """Return `n` samples, each cropped at random and half of them mirrored.

        The truth follows the camera's response (`fit_response`). Raise InputError for `stability`, and if a sample is
        damaged or smaller than the size.
        """
        if stability:
            raise InputError("stored samples have one view each; add --views affine, which bends it")
        drawn = [self._draw() for _ in range(n)]
        sdr, scene, linear = (torch.stack(parts).to(self.device) for parts in zip(*drawn, strict=True))
        return Pair(sdr=sdr, linear=linear, scene=scene, kind=["sigmoid+stored"] * n)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a resumed training needs to go on with the same samples."""
        return {"dice": self._dice.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on where `state` was taken."""
        self._dice.generator.set_state(state["dice"])

    def _draw(self) -> tuple[Tensor, Tensor, Tensor]:
        light, picture = self._paths[self._dice.below(len(self._paths))]
        sample = read_sample(light, picture)
        height, width = self.size
        spare = sample.scene.shape[1] - height, sample.scene.shape[2] - width
        if min(spare) < 0:
            raise InputError(f"{light}: the sample is smaller than {height} x {width}; choose a smaller size")
        top, left = (self._dice.below(room + 1) for room in spare)
        sdr, scene = (part[:, top : top + height, left : left + width] for part in (sample.sdr, sample.scene))
        if self._dice.chance(0.5):
            sdr, scene = sdr.flip(2), scene.flip(2)
        return sdr, scene, fit_response(sample).truth(scene[None])[0]
