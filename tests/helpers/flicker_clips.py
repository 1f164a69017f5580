"""Clips whose flicker is known, and files of them that `vshdr flicker` reads."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from helpers.clips import write_png
from torch import Tensor

from vshdr.media.write.exr import ExrWriter

RATE = 24
WIDTH, HEIGHT = 96, 64


def scene(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> Tensor:
    """Return linear light of a still scene, 3 x H x W: textured mid-tones and two lamps of 4 and 12 times SDR white."""
    random = torch.Generator().manual_seed(seed)
    picture = torch.full((3, height, width), 0.2)
    for cell in (4, 12):
        coarse = torch.rand(1, 3, height // cell + 2, width // cell + 2, generator=random)
        picture *= torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0.1, 1.0) + 0.4
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    for column, row, light in ((0.3, 0.4, 4.0), (0.7, 0.6, 12.0)):
        distance = torch.hypot(x - column * width, y - row * height) / (0.14 * height)
        picture += light * torch.sigmoid(6.0 * (1.0 - distance))
    return picture


def swing(amplitude: float, hertz: float, frames: int) -> Tensor:
    """Return a sinusoid of `amplitude` stops, one value for each frame."""
    return amplitude * torch.sin(2 * torch.pi * hertz * torch.arange(frames) / RATE)


def write_exr(folder: Path, frames: Tensor) -> str:
    """Write linear light, T x 3 x H x W, as an EXR sequence and return its pattern."""
    folder.mkdir(parents=True)
    pattern = folder / "shot.####.exr"
    writer = ExrWriter(
        pattern, width=frames.shape[3], height=frames.shape[2], frame_rate=Fraction(RATE), pixel_type="float"
    )
    for index, frame in enumerate(frames):
        writer.write(index, frame.contiguous())
    writer.finish()
    return str(pattern)


def write_sdr(folder: Path, frames: Tensor) -> str:
    """Write what SDR keeps of linear light, T x 3 x H x W, as 16-bit sRGB PNGs and return their pattern."""
    folder.mkdir(parents=True)
    light = frames.clamp(0.0, 1.0)
    code = torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.pow(1 / 2.4) - 0.055)
    for index, frame in enumerate((code * 65535).round().permute(0, 2, 3, 1).numpy().astype(np.uint16)):
        write_png(folder / f"frame.{index:04d}.png", frame)
    return str(folder / "frame.####.png")
