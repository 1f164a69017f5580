"""Reading video files with PyAV: every frame, with its own timestamp, at its own depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
import vapoursynth as vs
from av.codec.hwaccel import HWAccel
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition

from vshdr.errors import InputError, reason
from vshdr.media.read.completeness import promised_size
from vshdr.media.read.device_planes import planes_of
from vshdr.media.read.pixels import PixelLayout, layout_of
from vshdr.media.read.source import Frame, Orientation, Source, pad_to_coded_size
from vshdr.media.signal import UNSPECIFIED, input_properties, signal_of

_FULL_RANGE, _VIDEO_RANGE = 2, 1  # FFmpeg's AVColorRange


@dataclass(kw_only=True)
class VideoSource(Source):
    """A video file. Built by `open_video`."""

    path: Path
    layout: PixelLayout
    look: tuple
    """`look_of` the first frame."""
    stored_count: int
    """Number of packets the container promises; 0 where it does not say."""

    def __iter__(self) -> Iterator[Frame]:
        def planes(decoded: av.VideoFrame) -> list[np.ndarray]:
            return pad_to_coded_size(self.layout.planes(decoded), self.coded_width, self.coded_height)

        return self._frames(_decode(self.path, self.name, self.stored_count, self.note), planes)

    def on_device(self, device: torch.device) -> Iterator[Frame] | None:
        """Return the same frames, decoded on a CUDA device and left there: their planes are tensors. On a CPU, tensors
        too.

        None where the device's decoder does not take the clip, or it is not 4:2:0.
        """
        bits = vs.core.get_video_format(self.format_id).bits_per_sample
        if self.subsampling != (1, 1) or self.layout.has_alpha:
            return None

        def decode() -> Iterator[av.VideoFrame]:
            hardware = None
            if device.type == "cuda":
                hardware = HWAccel("cuda", str(device.index or 0), allow_software_fallback=False, is_hw_owned=True)
            return _decode(self.path, self.name, self.stored_count, self.note, hardware)

        try:
            planes_of(next(decode()), bits)
        except (av.FFmpegError, ValueError, RuntimeError, TypeError, StopIteration):
            return None
        return self._frames(decode(), lambda decoded: planes_of(decoded, bits))

    def _frames(self, frames: Iterator[av.VideoFrame], read: Callable[[av.VideoFrame], list]) -> Iterator[Frame]:
        # A frame's duration is known once the next one is there, so each is held back until then.
        held: tuple[int, int, list[np.ndarray]] | None = None
        promised = 0
        for index, decoded in enumerate(frames):
            self._check(index, decoded)
            planes = read(decoded)
            pts = self._pts(decoded, held, promised)
            if held is not None:
                yield Frame(index=held[0], pts=held[1], duration=pts - held[1], planes=held[2])
            held = (index, pts, planes)
            promised = decoded.duration or self._nominal_duration
        if held is not None:
            yield Frame(index=held[0], pts=held[1], duration=max(1, promised), planes=held[2])

    @property
    def _nominal_duration(self) -> int:
        return max(1, round(1 / (self.frame_rate * self.time_base)))

    def _pts(self, decoded: av.VideoFrame, previous: tuple | None, promised: int) -> int:
        """Return the frame's own timestamp, or where it has none or runs backwards, the end of the frame before it."""
        pts = decoded.pts
        if previous is None:
            return 0 if pts is None else pts
        if pts is None or pts <= previous[1]:
            if pts is not None:
                self.note("time", f"timestamps run backwards from frame {previous[0] + 1} on and were made to rise")
            return previous[1] + max(1, promised)
        return pts

    def _check(self, index: int, decoded: av.VideoFrame) -> None:
        look = look_of(decoded)
        if look[2] == "cuda":  # which says where a frame lies, and not what it is
            look = (*look[:2], self.look[2], *look[3:])
        if look[:3] != self.look[:3]:
            raise InputError(
                f"{self.name}: the picture changes at frame {index} from {_words(self.look)} to "
                f"{_words(look)}; cut the clip there"
            )
        if look != self.look:
            raise InputError(
                f"{self.name}: the colour tags change at frame {index} (matrix, transfer, primaries, range: "
                f"{self.look[3:]} to {look[3:]}); cut the clip there"
            )
        if decoded.is_corrupt:
            self.note("damage", f"the file is damaged at frame {index}, perhaps also later; the decoder covered it up")
        if decoded.interlaced_frame:
            self.note("interlaced", "the clip is interlaced; deinterlace it first for a clean result")


def open_video(path: Path, *, allow_hdr: bool = False) -> VideoSource:
    """Return the first video stream of `path` that is not a cover picture.

    Raise InputError, one sentence, where the file holds no video that can be decoded, or already is HDR.
    """
    _check_complete(path)
    with _open(path) as container:
        stream = video_stream(container, path.name)
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        time_base = Fraction(stream.time_base)
        seconds = stream.duration * time_base if stream.duration else Fraction(container.duration or 0, av.time_base)
        stored_count = stream.frames
        aspect = Fraction(stream.sample_aspect_ratio or 1)
    frame_rate = Fraction(rate) if rate else Fraction(25)
    first = next(_decode(path, path.name, 0, lambda topic, sentence: None), None)
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


def describe_first_frame(
    frame: av.VideoFrame, name: str, *, aspect: Fraction, allow_hdr: bool, defaults: dict[str, int] | None = None
) -> dict:
    """Return the fields of a source that a decoded frame tells; `defaults` are properties for what it leaves
    unspecified.

    Raise InputError for a pixel format without a counterpart and for a clip that already is HDR.
    """
    try:
        layout = layout_of(frame.format.name)
        properties = {**(defaults or {}), **tagged_properties(frame, layout)}
        signal = signal_of(properties, rgb=layout.rgb, allow_hdr=allow_hdr)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
    location = {"_ChromaLocation": properties["_ChromaLocation"]} if "_ChromaLocation" in properties else {}
    orientation = orientation_of(frame)
    return dict(
        name=name,
        layout=layout,
        format_id=layout.format_id,
        subsampling=layout.subsampling,
        look=look_of(frame),
        stored_width=frame.width,
        stored_height=frame.height,
        signal=signal,
        properties={**input_properties(signal), **location},
        orientation=orientation,
        sample_aspect_ratio=1 / aspect if orientation.transpose else aspect,
    )


def tagged_properties(frame: av.VideoFrame, layout: PixelLayout) -> dict[str, int]:
    """Return the frame's colour tags as VapourSynth properties; FFmpeg's numbers are those of H.273, but for 0-based
    locations.
    """
    tags = {"_Transfer": int(frame.color_trc), "_Primaries": int(frame.color_primaries)}
    if not layout.rgb:
        tags["_Matrix"] = int(frame.colorspace)  # 0 is RGB: no statement about YUV or grey
    properties = {name: value for name, value in tags.items() if value not in (0, UNSPECIFIED)}
    if layout.rgb:
        properties["_Range"] = 1  # files hold RGB in full range whatever their tags say, as players take it
    elif layout.name.startswith("yuvj") or int(frame.color_range) == _FULL_RANGE:
        properties["_Range"] = 1
    elif int(frame.color_range) == _VIDEO_RANGE:
        properties["_Range"] = 0
    if layout.subsampling != (0, 0) and int(frame.chroma_location) > 0:
        properties["_ChromaLocation"] = int(frame.chroma_location) - 1
    return properties


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation from a frame's display matrix (ISO/IEC 14496-12, 6.2.2), to the nearest quarter turn."""
    side_data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if side_data is None:
        return Orientation()
    a, b, _, c, d, *_ = (
        int(value) for value in np.frombuffer(bytes(side_data), np.int32)
    )  # x' = a x + c y, y' = b x + d y
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, flip_horizontally=c < 0, flip_vertically=b < 0)
    return Orientation(flip_horizontally=a < 0, flip_vertically=d < 0)


def note_first_frame(source: Source, layout: PixelLayout) -> None:
    """Say what happens to the alpha and the rotation of a source's frames."""
    if layout.has_alpha:
        source.note("alpha", "alpha is dropped; colours are used as stored")
    if source.orientation != Orientation():
        source.note("rotation", "the picture is turned upright, as the file says")


def video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """Return the first video stream that is not an attached picture. Raise InputError where there is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise InputError(f"{name}: there is no video in this file")


def _check_complete(path: Path) -> None:
    size, promised = path.stat().st_size, promised_size(path)
    if promised is not None and size < promised:
        raise InputError(f"{path.name}: the file is cut off: {size} of {promised} bytes are there")


def _open(path: Path, hardware: HWAccel | None = None) -> av.container.InputContainer:
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty")
    try:
        return av.open(str(path), hwaccel=hardware)
    except av.FFmpegError as error:
        raise InputError(
            f"{path.name}: this is not a video that can be read, or its end is missing ({reason(error)})"
        ) from None


def _decode(
    path: Path, name: str, stored_count: int, note: Callable[[str, str], None], hardware: HWAccel | None = None
) -> Iterator[av.VideoFrame]:
    """Decode to the end. Raise InputError with the number of the first frame that cannot be had."""
    count = packets = 0
    with _open(path, hardware) as container:
        stream = video_stream(container, name)
        if hardware is None:
            stream.thread_type = "AUTO"
        try:
            for packet in container.demux(stream):
                if packets == 0 and not packet.is_keyframe:
                    note(
                        "start",
                        "the file begins between key frames; what cannot be decoded before the first one is left out",
                    )
                packets += packet.size > 0
                if packet.is_corrupt:
                    note(
                        "damage",
                        f"the file is damaged around frame {count}, perhaps also later; the decoder covered it up",
                    )
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    if count > 0:
                        raise
                    continue  # nothing can be shown before the first key frame
                for frame in frames:
                    yield frame
                    count += 1
        except av.FFmpegError as error:
            raise InputError(f"{name}: frame {count} cannot be decoded ({reason(error)})") from None
    if packets < stored_count:
        raise InputError(f"{name}: the file is cut off: it holds {packets} of {stored_count} frames")


def look_of(frame: av.VideoFrame) -> tuple:
    """Return what has to stay the same in a clip: size, pixel format, H.273 matrix, transfer and primaries, range."""
    return (
        frame.width,
        frame.height,
        frame.format.name,
        int(frame.colorspace),
        int(frame.color_trc),
        int(frame.color_primaries),
        int(frame.color_range),
    )


def _words(look: tuple) -> str:
    return f"{look[0]}x{look[1]} {look[2]}"
