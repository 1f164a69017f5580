"""Training samples in the files of HDRCNN's virtual camera: `bin/im_%06d_%06d.bin` with light,
`jpg/im_%06d_%06d.jpg` with its picture.

A .bin file is little-endian float32: height, width, channels, n and sigma of the camera curve, then the
pixels, row by row, RGB interleaved. Linear light is exposed so that 1.0 is where the camera clips.

The published program writes a header before it draws the curve, so that n and sigma are those of the crop before, and
of the first anything at all. They are therefore never used: `fitted_curve` finds the curve in the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from scipy.optimize import least_squares
from torch import Tensor

from vshdr.camera.curves import SIGMOID, Curves, known_sigmoid
from vshdr.camera.virtual_camera import Pair
from vshdr.errors import FileError, InputError
from vshdr.runtime.dice import Dice
from vshdr.synthetic.harbour.scene import camera_curve

_FITTED = 4096
"""Values that a curve is fitted to: as many in a large sample as in a small one."""
_LEAST = 64
"""Unclipped values below which nothing can be fitted."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One pair as it is stored."""

    sdr: Tensor
    """3 x H x W code values in [0, 1]."""
    scene: Tensor
    """3 x H x W linear light, 1.0 where the camera clips."""
    n: float
    """Exponent of the camera curve (1 + sigma) h^n / (h^n + sigma), as the header has it."""
    sigma: float
    """Its other parameter, likewise."""


def find_samples(folder: str | Path) -> list[tuple[Path, Path]]:
    """Return the .bin and .jpg paths of every sample in `folder`, sorted.

    Raise FileError where there is none, or where a .bin has no .jpg.
    """
    samples = [(path, Path(folder, "jpg", path.stem + ".jpg")) for path in sorted(Path(folder, "bin").glob("im_*.bin"))]
    if not samples:
        raise FileError(f"{folder}: there is no bin/im_*.bin in this folder")
    for light, picture in samples:
        if not picture.exists():
            raise FileError(f"{picture}: this file is missing; {light.name} needs it")
    return samples


def source_name(light: Path) -> str:
    """Return what samples of one source picture share: im_000012 of im_000012_000003.bin."""
    return light.stem.rpartition("_")[0]


def read_sdr(path: str | Path) -> Tensor:
    """Return code values in [0, 1], 3 x H x W, of a JPEG or PNG of 8 bits. Raise InputError where it cannot be read."""
    try:
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
    except (UnidentifiedImageError, OSError):
        raise InputError(f"{path}: this picture cannot be read") from None


def read_sample(light: str | Path, picture: str | Path) -> Sample:
    """Return the sample in a .bin and a .jpg file. Raise InputError where one of them is damaged or their sizes
    differ."""
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
    """Write crop number `crop` of source number `source` (both from 1) and return the paths of .bin and
    .jpg."""
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


def fitted_curve(sample: Sample) -> Curves:
    """Return the camera curve that explains a sample: least squares over what is neither black nor clipped; the mean of
    HDRCNN's camera where that is next to nothing.
    """
    light, code = sample.scene.flatten(), sample.sdr.flatten()
    usable = (light > 1e-4) & (light < 1.0) & (code > 0.02) & (code < 0.98)
    light, code = light[usable].double(), code[usable].double()
    if len(light) < _LEAST:
        return known_sigmoid(*SIGMOID.mean)
    step = max(1, len(light) // _FITTED)
    light, code = light[::step], code[::step]

    def error(curve: np.ndarray) -> np.ndarray:
        return (camera_curve(light, *map(float, curve)) - code).numpy()

    # A robust loss: JPEG rings at edges.
    n, sigma = least_squares(error, SIGMOID.mean, bounds=SIGMOID.bounds, loss="soft_l1", f_scale=0.02).x
    return known_sigmoid(float(n), float(sigma))


class StoredSamples:
    """Samples on disk, through the door of `VirtualCamera`: `pair` draws some of them, without second views."""

    def __init__(
        self,
        paths: Sequence[tuple[Path, Path]],
        device: torch.device | str = "cpu",
        *,
        size: tuple[int, int] = (256, 256),
        seed: int = 0,
    ) -> None:
        """`paths` are those of `find_samples`, `size` is height and width of what is cut from each."""
        self._paths = paths
        self.device = torch.device(device)
        self.size = size
        self._dice = Dice(seed)

    def pair(self, n: int, *, stability: bool = False) -> Pair:
        """`n` samples, each cut at a random place and mirrored for half of them; the truth follows the
        camera's curve (`fitted_curve`).

        Raise InputError for `stability`, and where a sample is damaged or smaller than `size`.
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
        return sdr, scene, fitted_curve(sample).truth(scene[None])[0]
