"""`vshdr camera`: writes pairs of SDR and HDR pictures, or moving clips with their exact optical flow."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import torch
from PIL import Image
from torch import Tensor

from vshdr.camera.conditions import CONDITIONS, ClippedRange
from vshdr.camera.hdr_files import HALF_MAXIMUM, find_hdr_files
from vshdr.camera.motion import MotionOptions
from vshdr.camera.panoramas import Panoramas
from vshdr.camera.virtual_camera import VirtualCamera
from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import chromaticities
from vshdr.errors import InputError
from vshdr.options.tools import CaptureOptions
from vshdr.runtime.files import atomic_write


def write_pairs(folder: str | Path, options: CaptureOptions) -> int:
    """Write `options.count` pairs or clips into `folder` and return the number of frames.

    Pairs are `sdr/NNNN.png` and `hdr/NNNN.exr`. Clips are folders `NNNN/` with `sdr.MMMM.png`, `hdr.MMMM.exr` and, from
    the second frame on, `flow.MMMM.npy`: H x W x 2 float32, pixels to the right and down from each pixel to its
    position in the frame before, NaN where it is not visible there. PNGs have 8 bits. EXRs are half-float BT.709
    light, 1.0 = SDR white: the truth for training (see `curves`). `conditions.csv` says what was drawn for each pair or
    clip, and what share of its samples is brighter than SDR white.

    Raise InputError if the folder has files in it or options do not fit together, OSError if `options.data` has no
    pictures or files cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: there are files in this folder; name an empty or a new one")
    camera = _camera(options)
    drawn: list[tuple[str, str, str]] = []
    frames = 0
    for number in range(1, options.count + 1):
        if options.frames == 1:
            pair = camera.pair(1)
            _write_png(folder / "sdr" / f"{number:04d}.png", pair.sdr[0])
            _write_exr(folder / "hdr" / f"{number:04d}.exr", pair.linear[0])
            drawn.append((f"{number:04d}", pair.kind[0], _beyond_white(pair.linear)))
            frames += 1
            continue
        clip, clip_folder = camera.clip(options.frames), folder / f"{number:04d}"
        flow = torch.where(clip.valid, clip.flow, torch.nan).permute(0, 2, 3, 1).cpu().numpy()
        for index in range(options.frames):
            _write_png(clip_folder / f"sdr.{index + 1:04d}.png", clip.sdr[index])
            _write_exr(clip_folder / f"hdr.{index + 1:04d}.exr", clip.linear[index])
            if index:
                with atomic_write(clip_folder / f"flow.{index + 1:04d}.npy") as part, part.open("wb") as file:
                    np.save(file, flow[index])
        drawn.append((f"{number:04d}", clip.kind, _beyond_white(clip.linear)))
        frames += options.frames
    with atomic_write(folder / "conditions.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("name", "conditions", "clipped"), *drawn])
    return frames


def _camera(options: CaptureOptions) -> VirtualCamera:
    """Return the camera of `options.condition`, changed as the other options say."""
    usual = CONDITIONS[options.condition]
    chosen: dict[str, Any] = {"ten_bit": 0.0, "view": replace(usual.view, angle=options.angle)}
    if any(options.clipped):
        chosen["clipped"] = (ClippedRange(1.0, *options.clipped),)
    if options.noise is not None:
        chosen["noise"] = options.noise
    if options.codec == "none":
        chosen["codec"] = 0.0
    elif options.codec:
        chosen |= {"codec": 1.0, "codecs": (options.codec,)}
    if options.crf:
        chosen["crf"] = (options.crf, options.crf)
    if options.frames > 1 and options.condition != "still":
        chosen["motion"] = MotionOptions(shift=options.speed, roll=0.1, zoom=0.003)
    if options.data:
        panoramas = Panoramas(find_hdr_files(options.data), options.device, max_width=options.max_width)
    else:
        panoramas = Panoramas.procedural(
            min(options.count, 8), options.seed, options.device, width=min(options.max_width, 1024)
        )
    return VirtualCamera(
        panoramas, replace(usual, **chosen), size=(options.size[1], options.size[0]), seed=options.seed
    )


def _beyond_white(linear: Tensor) -> str:
    """Return the share of samples that are brighter than SDR white, as text."""
    return f"{float((linear > 1.0).float().mean()):.4f}"


def _write_png(path: Path, sdr: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        Image.fromarray((sdr * 255).round().byte().permute(1, 2, 0).cpu().numpy()).save(part, format="PNG")


def _write_exr(path: Path, linear: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {
        "type": OpenEXR.scanlineimage,
        "compression": OpenEXR.ZIP_COMPRESSION,
        "chromaticities": tuple(xy for point in chromaticities(Primaries.BT709) for xy in point),
    }
    planes = linear.clamp_max(HALF_MAXIMUM).half().cpu().numpy()
    with atomic_write(path) as part, OpenEXR.File(header, dict(zip("RGB", planes, strict=True))) as file:
        file.write(str(part))
