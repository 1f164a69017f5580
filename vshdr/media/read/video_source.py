"""Reading video files with PyAV: every frame, with its own timestamp, at its own depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import vapoursynth as vs
from av.codec.hwaccel import HWAccel
from av.error import FFmpegError

from vshdr.errors import InputError
from vshdr.media.read.decode import check_complete, decode, open_container, video_stream
from vshdr.media.read.device_planes import planes_of
from vshdr.media.read.first_frame import FrameFormat, describe_first_frame, format_of, note_first_frame
from vshdr.media.read.pixels import PixelLayout
from vshdr.media.read.source import Frame, Source, file_digest, pad_to_coded_size
from vshdr.media.read.streams import fraction


@dataclass(kw_only=True)
class VideoSource(Source):
    """A video file. Built by `open_video`."""

    path: Path
    layout: PixelLayout
    look: FrameFormat
    """That of the first frame."""
    stored_count: int
    """Number of packets the container promises; 0 where it does not say."""

    def __iter__(self) -> Iterator[Frame]:
        def planes(decoded: av.VideoFrame) -> list[np.ndarray]:
            return pad_to_coded_size(self.layout.planes(decoded), self.coded_width, self.coded_height)

        return self._frames(decode(self.path, self.name, self.stored_count, self.note), planes)

    def digest(self) -> str:
        return file_digest(self.path)

    def on_device(self, device: torch.device) -> Iterator[Frame] | None:
        """Return the same frames with tensors as planes, on `device`. CUDA decodes them and they never leave it; for a
        CPU, FFmpeg's own decoder does.

        None where the device's decoder does not take the clip, and for clips that are not 4:2:0 or have alpha.
        Experimental: this has not run on a GPU yet.
        """
        bits = vs.core.get_video_format(self.format_id).bits_per_sample
        if self.subsampling != (1, 1) or self.layout.has_alpha:
            return None

        def decoded_frames() -> Iterator[av.VideoFrame]:
            hardware = None
            if device.type == "cuda":
                hardware = HWAccel("cuda", str(device.index or 0), allow_software_fallback=False, is_hw_owned=True)
            return decode(self.path, self.name, self.stored_count, self.note, hardware)

        try:
            planes_of(next(decoded_frames()), bits)
        except (FFmpegError, ValueError, RuntimeError, TypeError, StopIteration):
            return None
        return self._frames(decoded_frames(), lambda decoded: planes_of(decoded, bits))

    def _frames(self, frames: Iterator[av.VideoFrame], read: Callable[[av.VideoFrame], list[Any]]) -> Iterator[Frame]:
        # A frame's duration is known once the next one is there, so each is held back until then. What the decoder
        # says, or the nominal duration, is right for the last one only.
        held: Frame | None = None
        for index, decoded in enumerate(frames):
            self._check(index, decoded)
            planes, pts = read(decoded), self._pts(decoded, held)
            if held is not None:
                yield replace(held, duration=pts - held.pts)
            held = Frame(
                index=index, pts=pts, duration=max(1, decoded.duration or self._nominal_duration), planes=planes
            )
        if held is not None:
            yield held

    @property
    def _nominal_duration(self) -> int:
        return max(1, round(1 / (self.frame_rate * self.time_base)))

    def _pts(self, decoded: av.VideoFrame, previous: Frame | None) -> int:
        """Return the frame's own timestamp, or where it has none or runs backwards, the end of the frame before it."""
        pts = decoded.pts
        if previous is None:
            return 0 if pts is None else pts
        if pts is None or pts <= previous.pts:
            if pts is not None:
                self.note("time", f"timestamps run backwards from frame {previous.index + 1} on and were made to rise")
            return previous.pts + previous.duration
        return pts

    def _check(self, index: int, decoded: av.VideoFrame) -> None:
        """Raise InputError where a frame is not like the first; note what a person should know of it."""
        look = format_of(decoded)
        if look.pixel_format == "cuda":  # which says where a frame lies, and not what it is
            look = look._replace(pixel_format=self.look.pixel_format)
        if str(look) != str(self.look):
            raise InputError(
                f"{self.name}: the picture changes at frame {index} from {self.look} to {look}; cut the clip there"
            )
        if look.colour_tags != self.look.colour_tags:
            raise InputError(
                f"{self.name}: the colour tags change at frame {index} (matrix, transfer, primaries, range: "
                f"{self.look.colour_tags} to {look.colour_tags}); cut the clip there"
            )
        if decoded.is_corrupt:
            self.note("damage", f"the file is damaged at frame {index}, perhaps also later; the decoder covered it up")
        if decoded.interlaced_frame:
            self.note("interlaced", "the clip is interlaced; deinterlace it first for a clean result")


def open_video(path: Path, *, allow_hdr: bool = False) -> VideoSource:
    """Return the first video stream of `path` that is not a cover picture.

    Raise InputError, one sentence, where the file holds no video that can be decoded, or already is HDR.
    """
    check_complete(path)
    with open_container(path) as container:
        stream = video_stream(container, path.name)
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        time_base = fraction(stream.time_base)
        seconds = stream.duration * time_base if stream.duration else Fraction(container.duration or 0, av.time_base)
        stored_count = stream.frames
        aspect = fraction(stream.sample_aspect_ratio) if stream.sample_aspect_ratio else Fraction(1)
    frame_rate = fraction(rate) if rate else Fraction(25)
    first = next(decode(path, path.name, 0, lambda topic, sentence: None), None)
    if first is None:
        raise InputError(f"{path.name}: the video stream holds no frame that can be decoded")
    source = VideoSource(
        path=path,
        video_path=path,
        time_base=time_base,
        frame_rate=frame_rate,
        stored_count=stored_count,
        frame_count=stored_count or round(seconds * frame_rate) or None,
        **describe_first_frame(first, path.name, aspect=aspect, allow_hdr=allow_hdr),
    )
    if not rate:
        source.note("rate", "the file tells no frame rate; 25 is assumed where timestamps are missing")
    note_first_frame(source, source.layout)
    return source
