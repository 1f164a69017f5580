"""Light from anything: EXR sequences, HDR and SDR video, images and scripts in, linear RGB out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vshdr.colour.primaries import chromaticities, convert_primaries
from vshdr.colour.transfer import EOTF
from vshdr.errors import InputError
from vshdr.media.read.exr import read_exr
from vshdr.media.read.image_source import HDR_SUFFIXES, IMAGE_SUFFIXES, folder_files, pattern_files
from vshdr.media.read.reader import IMAGE_FRAME_RATE, SdrConverter, open_source
from vshdr.media.read.source import Frame, Source
from vshdr.media.sequence import NumberedName
from vshdr.media.signal import PRIMARIES_BT709, linear_arguments, linear_from
from vshdr.media.zimg import Resizer


class LightFrame(NamedTuple):
    """One frame."""

    linear: Tensor
    """3 x H x W float32, BT.709 primaries, 1.0 = SDR white; negative where a colour lies outside of BT.709."""
    scene_change: bool | None = None
    """As in `source.Frame`."""


@dataclass(frozen=True, kw_only=True)
class LightSource:
    """A clip as display-linear light. Iterating starts again at the first frame."""

    name: str
    """What to call the clip in messages."""
    width: int
    height: int
    frame_rate: Fraction
    """Nominal frames per second."""
    frame_count: int | None
    """As far as the clip tells."""
    hdr: bool
    """True for EXR and for what is labelled PQ or HLG."""
    frames: Callable[[], Iterator[LightFrame]]

    def __iter__(self) -> Iterator[LightFrame]:
        return self.frames()


def open_light(path: str | Path, *, white: float = 203.0, frame_rate: Fraction | None = None) -> LightSource:
    """Open whatever shows light: EXR images (1.0 = SDR white), PQ and HLG video or scripts, where `white` nits become
    1.0, and SDR, through its display's curve. Scripts may also be linear RGB.

    `frame_rate` is for images. Raise InputError, one sentence that names the file, for what cannot be read.
    """
    path = Path(path)
    if exr := _exr_files(path):
        return _open_exr(path, exr, frame_rate or IMAGE_FRAME_RATE)
    images = path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES
    source = open_source(path, frame_rate=frame_rate if images else None, allow_hdr=True)
    return LightSource(
        name=source.name,
        width=source.width,
        height=source.height,
        frame_rate=source.frame_rate,
        frame_count=source.frame_count,
        hdr=bool(source.signal.hdr_label),
        frames=lambda: _decoded(source, white),
    )


def _exr_files(path: Path) -> list[Path]:
    """Return the EXR files that `path` names, none if it names something else."""
    if path.is_dir():
        files = folder_files(path)
    elif not path.exists() and path.suffix.lower() in HDR_SUFFIXES and (pattern := NumberedName.parse(path)):
        files = pattern_files(pattern)
    else:
        files = [path]
    exr = [file for file in files if file.suffix.lower() == ".exr" and file.exists()]
    if exr and len(exr) < len(files):
        raise InputError(f"{path.name}: the folder holds EXR and other images; name one sequence, shot.####.exr")
    return exr


def _open_exr(path: Path, files: list[Path], frame_rate: Fraction) -> LightSource:
    first, _ = read_exr(files[0])
    height, width = first.shape[1:]

    def frames() -> Iterator[LightFrame]:
        for file in files:
            pixels, header = read_exr(file)
            if pixels.shape[1:] != (height, width):
                raise InputError(
                    f"{file.name} is {pixels.shape[2]}x{pixels.shape[1]}, {files[0].name} {width}x{height}; all images "
                    "of a sequence have to agree"
                )
            linear = torch.from_numpy(pixels)[None]
            yield LightFrame(convert_primaries(linear, _primaries(header), PRIMARIES_BT709)[0])

    return LightSource(
        name=path.name,
        width=width,
        height=height,
        frame_rate=frame_rate,
        frame_count=len(files),
        hdr=True,
        frames=frames,
    )


def _primaries(header: dict) -> int:
    """9 where an EXR says that its primaries are BT.2020's, else 1."""
    said = header.get("chromaticities")
    wide = [xy for point in chromaticities(9) for xy in point]
    return 9 if said is not None and np.allclose(np.ravel(said)[:6], wide[:6], atol=1e-3) else 1


def _decoded(source: Source, white: float) -> Iterator[LightFrame]:
    convert = _hdr_converter(source, white) if source.signal.hdr_label else _sdr_converter(source)
    for frame in source:
        yield LightFrame(convert(frame), frame.scene_change)


def _sdr_converter(source: Source) -> Callable[[Frame], Tensor]:
    to_code, signal = SdrConverter(source), source.signal

    def convert(frame: Frame) -> Tensor:
        linear = EOTF[signal.eotf](to_code(frame))
        return convert_primaries(linear[None], signal.working_primaries, PRIMARIES_BT709)[0]

    return convert


def _hdr_converter(source: Source, white: float) -> Callable[[Frame], Tensor]:
    labelled = source.properties | {"_Transfer": source.signal.hdr_label}
    label = source.signal.hdr_label
    resize = Resizer(
        source.format_id, source.coded_width, source.coded_height, labelled, linear_arguments(label, white)
    )

    def convert(frame: Frame) -> Tensor:
        planes = [
            source.orientation.upright(plane[: source.stored_height, : source.stored_width])
            for plane in resize(frame.planes)
        ]
        return linear_from(torch.from_numpy(np.stack(planes)), label, white)

    return convert
