"""HDR picture files: finding and reading them, and dividing them into training and validation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import av.error
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import rgb_to_xyz
from vshdr.errors import FileError, InputError
from vshdr.media.read.exr import read_exr

HALF_MAXIMUM = torch.finfo(torch.float16).max
"""The largest number in half precision, 65504."""
SUFFIXES = (".exr", ".hdr")


def find_hdr_files(folder: str | Path) -> list[Path]:
    """Return all .exr and .hdr files below `folder`, sorted. Raise FileError if there are none."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FileError(f"{folder}: no .exr or .hdr file is in this folder or below it")
    return paths


def scene_name(path: str | Path) -> str:
    """Return a file's name without resolution, number and "puresky": `studio_small` for `studio_small_03_1k.hdr`.

    Pictures of one place have the same scene name if they are named in the way of Poly Haven.
    """
    return re.sub(r"(_\d+k|_puresky|_\d+)+$", "", Path(path).stem) or Path(path).stem


def split(
    paths: Sequence[Path], share: float, seed: int = 0, scene: Callable[[Path], str] = scene_name
) -> tuple[list[Path], list[Path]]:
    """Return training and validation paths.

    A `share` of the scenes, at least one, goes to validation with all their pictures. `scene` gives the name of a
    path's scene. A scene's rank depends only on its name and `seed`, so that adding pictures moves few scenes. Raise
    InputError if nothing would be left for training.
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


def read_hdr(path: str | Path) -> Tensor:
    """Return the linear light of an .exr or Radiance .hdr file, 3 x H x W float32, not below 0, in BT.709 primaries.

    The scale is that of the file. An EXR with other chromaticities is converted. Raise InputError if the file cannot be
    read.
    """
    path = Path(path)
    picture = _read_exr(path) if path.suffix.lower() == ".exr" else _read_radiance(path)
    return torch.from_numpy(np.nan_to_num(picture, posinf=HALF_MAXIMUM)).clamp_min(0.0)


def _read_exr(path: Path) -> NDArray[np.float32]:
    picture, header = read_exr(path)
    if "chromaticities" in header:
        to_bt709 = np.linalg.inv(rgb_to_xyz(Primaries.BT709).numpy()) @ _xyz(header["chromaticities"])
        if np.abs(to_bt709 - np.eye(3)).max() > 0.01:  # otherwise these are the same primaries, rounded
            picture = np.einsum("ij,jhw->ihw", to_bt709.astype(np.float32), picture)
    return picture


def _xyz(chromaticities: Sequence[float]) -> NDArray[np.float64]:
    """Return the 3 x 3 matrix from RGB to CIE XYZ; `chromaticities` are x and y of red, green, blue and white."""
    x, y = np.reshape(chromaticities, (4, 2)).astype(float).T
    points = np.stack((x / y, np.ones(4), (1 - x - y) / y))
    return points[:, :3] * np.linalg.solve(points[:, :3], points[:, 3])


def _read_radiance(path: Path) -> NDArray[np.float32]:
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            return np.moveaxis(frame.to_ndarray(format="gbrpf32le"), 2, 0).astype(np.float32)
    except (av.error.FFmpegError, StopIteration, IndexError):
        raise InputError(f"{path}: this is not a Radiance HDR picture that can be read") from None


def sampling_weight(path: str | Path) -> float:
    """Return how often a picture is drawn: 0.25 for sky-only panoramas (`..._puresky`), which look alike, else 1."""
    return 0.25 if "_puresky" in Path(path).stem else 1.0
