"""What every SDR source offers, whatever it reads from: frames in order, timestamps and what the samples mean."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vshdr.media.signal import Signal

_DIGEST_BYTES = 1 << 20  # read from either end of a file to recognise it


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One SDR frame as it was stored: neither depth, matrix nor range has been touched."""

    index: int
    """Place in the source, from 0."""
    pts: int
    """Presentation time in units of the source's `time_base`; strictly rising."""
    duration: int
    """Time until the next frame, in the same units; at least 1."""
    planes: Sequence[NDArray[Any]]
    """R, G, B or Y, U, V or Y as uint8, uint16, float16 or float32, of the source's coded size, not yet upright.
    Tensors where a GPU has decoded them (`Source.on_device`).
    """
    scene_change: bool | None = None
    """The script's property `_SceneChangePrev`: whether a shot begins here; None where nothing says so."""


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """How a stored picture becomes upright: first transpose, then flip."""

    transpose: bool = False
    flip_vertically: bool = False
    flip_horizontally: bool = False

    def upright(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Turn a plane, H x W, without copying it."""
        if self.transpose:
            plane = plane.T
        return plane[:: -1 if self.flip_vertically else 1, :: -1 if self.flip_horizontally else 1]


@dataclass(kw_only=True)
class Source(ABC):
    """A clip of SDR frames of one size, format and colour description. Iterating starts again at the first frame.

    The picture is turned upright and cropped to its true size only after conversion to RGB (`reader.SdrConverter`),
    because subsampled chroma can neither be cropped to an odd size nor turned without moving its sites.
    """

    name: str
    """What to call the source in messages."""
    format_id: int
    """VapourSynth's format of the planes: the family, subsampling and depth of the file."""
    stored_width: int
    """Width of the picture as stored, without padding, in samples."""
    stored_height: int
    """Height of the picture as stored, without padding, in samples."""
    subsampling: tuple[int, int]
    """log2 of the chroma subsampling, horizontally and vertically."""
    signal: Signal
    """What the code values of the first frame mean, and by contract those of all others."""
    properties: dict[str, int]
    """Frame properties for `core.resize`: the signal and, where known, chroma location and field order."""
    time_base: Fraction
    """Seconds per unit of `Frame.pts`."""
    frame_rate: Fraction
    """Nominal frames per second; timestamps are the truth."""
    frame_count: int | None
    """Number of frames as far as the source tells; an estimate for video, None if unknown."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width to height of an upright sample."""
    orientation: Orientation = Orientation()
    """How the stored picture becomes upright."""
    video_path: Path | None = None
    """File that audio, subtitles, chapters and attachments can be copied from."""
    notes: list[str] = field(default_factory=list)
    """What the user should know, one sentence each; may grow while frames are read."""
    _topics: set[str] = field(default_factory=set, init=False, repr=False)

    @property
    def width(self) -> int:
        """Width of the upright picture."""
        return self.stored_height if self.orientation.transpose else self.stored_width

    @property
    def height(self) -> int:
        """Height of the upright picture."""
        return self.stored_width if self.orientation.transpose else self.stored_height

    @property
    def coded_width(self) -> int:
        """Width of the first plane: the stored width up to a whole number of chroma samples."""
        return -(-self.stored_width >> self.subsampling[0]) << self.subsampling[0]

    @property
    def coded_height(self) -> int:
        """Height of the first plane: the stored height up to a whole number of chroma samples."""
        return -(-self.stored_height >> self.subsampling[1]) << self.subsampling[1]

    def note(self, topic: str, sentence: str) -> None:
        """Add a sentence to `notes` unless there is one on the same topic already, so that they stay few."""
        if topic not in self._topics:
            self._topics.add(topic)
            self.notes.append(sentence)

    @property
    def upright_as_stored(self) -> bool:
        """Whether the planes are the picture as it is seen, neither turned nor padded."""
        coded = self.coded_width, self.coded_height
        return self.orientation == Orientation() and coded == (self.width, self.height)

    @abstractmethod
    def digest(self) -> str:
        """Return what tells this source from another one of the same name, such as an edited script or a new cut. It
        takes no longer for a long clip. Raise OSError where a file cannot be read.
        """

    def on_device(self, device: torch.device) -> Iterator[Frame] | None:
        """Return the same frames, decoded on a CUDA device and left there: their planes are tensors.

        None where the device's decoder does not take the clip, or the source has nothing to decode.
        """
        return None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames from the first on. Raise InputError with the frame's number where one cannot be read."""


def pad_to_coded_size(planes: Sequence[NDArray[Any]], width: int, height: int) -> list[NDArray[Any]]:
    """Repeat the last column and row of the first plane until it is `width` x `height`; chroma planes are complete
    anyway.
    """
    missing = (height - planes[0].shape[0], width - planes[0].shape[1])
    if missing == (0, 0):
        return list(planes)
    return [np.pad(planes[0], ((0, missing[0]), (0, missing[1])), mode="edge"), *planes[1:]]


def file_digest(path: Path) -> str:
    """Return a digest of a file's size and of its first and last MiB."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        for start in (0, max(_DIGEST_BYTES, size - _DIGEST_BYTES)):
            file.seek(start)
            digest.update(file.read(_DIGEST_BYTES))
    return f"{size}:{digest.hexdigest()[:16]}"
