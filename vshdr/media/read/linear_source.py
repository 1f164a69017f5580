"""Linear light from anything: EXR sequences, HDR and SDR video, images and scripts in, linear RGB out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import chromaticities, convert_primaries
from vshdr.colour.transfer import EOTF
from vshdr.errors import InputError
from vshdr.media.numbered_name import NumberedName
from vshdr.media.read.exr import read_exr
from vshdr.media.read.image_source import HDR_SUFFIXES, IMAGE_SUFFIXES, folder_files, pattern_files
from vshdr.media.read.reader import IMAGE_FRAME_RATE, SdrConverter, open_source
from vshdr.media.read.source import Frame, Source
from vshdr.media.signal import linear_arguments, linear_from
from vshdr.media.zimg import Resizer


class LinearFrame(NamedTuple):
    """One frame of linear light."""

    linear: Tensor
    """3 x H x W float32, BT.709 primaries, 1.0 = SDR white; negative where a colour lies outside of BT.709."""
    scene_change: bool | None = None
    """Whether a shot begins here, as in `vshdr.media.read.source.Frame`."""


@dataclass(frozen=True, kw_only=True)
class LinearSource:
    """A clip as display-linear light. Iterating starts again at the first frame."""

    name: str
    """What to call the clip in messages."""
    width: int
    height: int
    frame_rate: Fraction
    """Nominal frames per second."""
    frame_count: int | None
    """Number of frames as far as the clip tells; None if unknown."""
    hdr: bool
    """True for EXR and for what is labelled PQ or HLG."""
    frames: Callable[[], Iterator[LinearFrame]]
    """Starts again at the first frame."""

    def __iter__(self) -> Iterator[LinearFrame]:
        return self.frames()


def open_linear(path: str | Path, *, white: float = 203.0, frame_rate: Fraction | None = None) -> LinearSource:
    """Open anything that can be shown as linear light.

    EXR images are taken as they are (1.0 = SDR white). Of PQ and HLG video and scripts, `white` nits become 1.0. SDR is
    seen through its display's curve. Scripts may also be linear RGB. `frame_rate` is for images only.

    Raise InputError, one sentence that names the file, for what cannot be read.
    """
    path = Path(path)
    if exr := _exr_files(path):
        return _open_exr(path, exr, frame_rate or IMAGE_FRAME_RATE)
    images = path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES
    source = open_source(path, frame_rate=frame_rate if images else None, allow_hdr=True)
    return LinearSource(
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


def _open_exr(path: Path, files: list[Path], frame_rate: Fraction) -> LinearSource:
    first, _ = read_exr(files[0])
    height, width = first.shape[1:]

    def frames() -> Iterator[LinearFrame]:
        for file in files:
            pixels, header = read_exr(file)
            if pixels.shape[1:] != (height, width):
                raise InputError(
                    f"{file.name} is {pixels.shape[2]}x{pixels.shape[1]}, {files[0].name} {width}x{height}; all images "
                    "of a sequence have to agree"
                )
            linear = torch.from_numpy(pixels)[None]
            yield LinearFrame(convert_primaries(linear, _primaries(header), Primaries.BT709)[0])

    return LinearSource(
        name=path.name,
        width=width,
        height=height,
        frame_rate=frame_rate,
        frame_count=len(files),
        hdr=True,
        frames=frames,
    )


def _primaries(header: dict[str, Any]) -> Primaries:
    """Return BT.2020 where an EXR says that its primaries are those, else BT.709."""
    said = header.get("chromaticities")
    wide = [xy for point in chromaticities(Primaries.BT2020)[:3] for xy in point]
    is_wide = said is not None and np.allclose(np.ravel(said)[:6], wide, atol=1e-3)
    return Primaries.BT2020 if is_wide else Primaries.BT709


def _decoded(source: Source, white: float) -> Iterator[LinearFrame]:
    convert = _hdr_converter(source, white) if source.signal.hdr_label else _sdr_converter(source)
    for frame in source:
        yield LinearFrame(convert(frame), frame.scene_change)


def _sdr_converter(source: Source) -> Callable[[Frame], Tensor]:
    to_code, signal = SdrConverter(source), source.signal

    def convert(frame: Frame) -> Tensor:
        linear = EOTF[signal.eotf](to_code(frame))
        return convert_primaries(linear[None], signal.working_primaries, Primaries.BT709)[0]

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
