"""Writing HDR10 and HLG video: frames in, one checked file out.

FFmpeg's encoder (`vshdr.media.write.encoders`) and muxer (`vshdr.media.write.muxer`) are used apart, because each has
to be told the HDR metadata in its own way.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from vshdr.errors import EncodeError, InputError, OutputExistsError, reason
from vshdr.media.containers.matroska import set_display_size
from vshdr.media.metadata import content_light
from vshdr.media.read.streams import has_streams
from vshdr.media.write.content_light_patch import patch_content_light
from vshdr.media.write.encoders import VideoSettings, check, open_encoder
from vshdr.media.write.muxer import add_video_stream, leave_room_for_display_size, open_output
from vshdr.media.write.passthrough import Passthrough
from vshdr.media.write.verify import verify
from vshdr.runtime.locks import open_locked


class _HeldFrame(NamedTuple):
    """A frame that waits for its successor, which says how long it lasts."""

    frame: av.VideoFrame
    pts: int
    duration: int
    """0 where the caller did not say."""


class VideoWriter:
    """Writes one video file, under a partial name (`name.partial.mkv`) until it is complete and checked.

    A context manager. Left by an exception, or without `finish`, it closes the partial file so that it plays, and keeps
    it under that name; if no frame was written it is removed. The final name appears only when all is well.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: VideoSettings,
        source: str | os.PathLike[str] | None = None,
        overwrite: bool = True,
    ) -> None:
        """Open the encoder and the file.

        `source` is the file that audio, subtitles, attachments, chapters and tags are copied from; an image sequence or
        a script has none of these, which is fine. A file that has the final name already is replaced in the end, or
        refused now if not `overwrite`. Raise InputError for settings that do not fit, OutputExistsError for that
        refusal, OSError if a file cannot be opened.
        """
        self.path: Path = Path(path)
        self.settings = settings
        suffix = self.path.suffix.lower()
        check(settings, suffix)
        if not overwrite and self.path.exists():
            raise OutputExistsError(f"{self.path} exists already; choose another name or overwrite it")
        self.partial: Path = self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}")
        """Where the file grows."""
        self.left_out: list[str] = []
        """One sentence for each thing of the source that the container cannot carry."""
        self._shapes = settings.plane_shapes()
        self._timestamps = array("q")
        self._durations: dict[int, int] = {}  # of frames inside the encoder, by timestamp
        self._held: _HeldFrame | None = None
        self._passthrough: Passthrough | None = None
        self._encoder = open_encoder(settings)
        self._output: OutputContainer | None = None
        self._lock = open_locked(
            self.partial, f"{self.partial} is being written by another run; let it end, or name another output"
        )
        try:
            self._output = output = open_output(self.partial)
            self._stream = add_video_stream(output, settings, self._encoder, suffix)
            if source is not None and has_streams(source):
                self._passthrough = Passthrough(source, output, suffix)
                self.left_out = self._passthrough.left_out
            if suffix == ".mkv":
                leave_room_for_display_size(self._stream)
            output.start_encoding()
        except BaseException:
            if self._output is not None:
                self._close()
            self.partial.unlink(missing_ok=True)
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:  # held until all is done, so that no other run begins to write the file
            self._leave(failed=error is not None)

    def write(self, planes: Sequence[np.ndarray], pts: int, duration: int = 0) -> None:
        """Encode one frame.

        `planes` are Y, Cb and Cr, uint16 arrays of rows x columns with limited-range BT.2020 code values of the pixel
        format's depth. `pts`, and `duration` where it is known, are in ticks of `settings.time_base`; `pts` has to
        rise. Raise InputError for planes or timestamps that do not fit, EncodeError if the encoder fails, OSError if
        the file cannot be written.
        """
        if self._timestamps and pts <= self._timestamps[-1]:
            raise InputError(f"timestamps have to rise, but {pts} follows {self._timestamps[-1]}")
        frame = self._frame(planes, pts)
        self._encode_held(pts)
        self._timestamps.append(pts)
        self._held = _HeldFrame(frame, pts, duration)

    def finish(self, max_cll: float, max_fall: float) -> None:
        """End the file, fill in the measured light levels in nits, check it and give it its final name.

        HLG carries no light levels; there the two are ignored. Raise InputError if no frame was written,
        EncodeError if the encoder fails, VerificationError if the written file is not what was meant, OSError if it
        cannot be written; the partial file then stays.
        """
        if not self._timestamps:
            raise InputError(f"{self.path}: no frame was written")
        light = content_light(max_cll, max_fall) if self.settings.transfer == "pq" else None
        self._flush(complete=True)
        earliest = self.settings.time_base * self._timestamps[0]
        if self._passthrough is not None:
            earliest = min(earliest, self._passthrough.earliest)
        self._close()
        if light is not None:
            patch_content_light(self.partial, light)
        verify(self.partial, self.settings, self._timestamps, light, earliest)
        with self.partial.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut could leave the name without its content
        os.replace(self.partial, self.path)

    def _leave(self, failed: bool) -> None:
        """Close what is still open. Raise what goes wrong there, unless the run had `failed` before."""
        if self._output is None:
            return
        failure = None
        for step in (partial(self._flush, complete=False), self._close):
            try:
                step()
            except (FFmpegError, OSError, RuntimeError) as trouble:
                failure = failure or trouble
        if not self._timestamps:
            self.partial.unlink(missing_ok=True)
        if failure is not None and not failed:  # else the error that came first is the one to report
            raise failure

    def _frame(self, planes: Sequence[np.ndarray], pts: int) -> av.VideoFrame:
        settings = self.settings
        found = [(plane.shape, plane.dtype) for plane in planes]
        if found != [(shape, np.uint16) for shape in self._shapes]:
            raise InputError(
                f"{settings.format} frames of {settings.width}x{settings.height} are uint16 planes of "
                f"{', '.join(map(str, self._shapes))}, these are {', '.join(f'{d} {s}' for s, d in found)}"
            )
        frame = av.VideoFrame(settings.width, settings.height, settings.format)
        for target, plane in zip(frame.planes, planes, strict=True):
            rows, columns = plane.shape
            np.frombuffer(target, np.uint16).reshape(-1, target.line_size // 2)[:rows, :columns] = plane
        frame.pts, frame.time_base = pts, settings.time_base
        frame.color_primaries, frame.color_trc = self._encoder.color_primaries, self._encoder.color_trc
        frame.colorspace, frame.color_range = self._encoder.colorspace, self._encoder.color_range
        if settings.chroma_location is not None:
            frame.chroma_location = settings.chroma_location.ffmpeg
        return frame

    def _encode_held(self, next_pts: int | None) -> None:
        """Encode the frame that waits for its successor; `next_pts` is None where none comes."""
        if self._held is None:
            return
        frame, pts, duration = self._held
        self._held = None
        if next_pts is not None:
            duration = duration or next_pts - pts
        elif not duration:  # as long as the frame before the last, or a nominal frame
            rate = self.settings.frame_rate or Fraction(25)
            duration = (
                self._timestamps[-1] - self._timestamps[-2]
                if len(self._timestamps) > 1
                else max(1, round(1 / rate / self.settings.time_base))
            )
        self._durations[pts] = duration
        self._encode(frame)

    def _encode(self, frame: av.VideoFrame | None) -> None:
        """Encode one frame, or with None all that the encoder still holds, and write what comes out."""
        try:
            self._mux(self._encoder.encode(frame))
        except FFmpegError as error:
            if isinstance(error, OSError):  # the system refuses to write
                raise
            raise EncodeError(
                f"{self.partial}: {self.settings.encoder.name} or the muxer failed ({reason(error)}); "
                "try another codec, preset or pixel_format"
            ) from error

    def _flush(self, complete: bool) -> None:
        """Empty the encoder. Other streams go on to their end if `complete`, else end with the picture."""
        self._encode_held(None)
        if self._timestamps:
            self._encode(None)
        if self._passthrough is not None and self._timestamps:
            if not complete:
                self._passthrough.write_until(self._timestamps[-1] * self.settings.time_base)
            else:
                self._passthrough.finish()

    def _mux(self, packets: list[Packet[Stream]]) -> None:
        assert self._output is not None
        for packet in packets:
            packet.duration = 0 if packet.pts is None else self._durations.pop(packet.pts, 0)
            if len(self._timestamps) < 3:
                # x265 sets the variable from which it derives decoding times with the third frame; before that they
                # are wrong. Fewer than three frames are never reordered.
                packet.dts = packet.pts
            if self._passthrough is not None and packet.dts is not None:
                self._passthrough.write_until(packet.dts * self.settings.time_base)
            packet.stream = self._stream
            self._output.mux_one(packet)

    def _close(self) -> None:
        """Write the trailer and close both files."""
        output, self._output = self._output, None
        assert output is not None
        try:
            output.close()
        finally:
            if self._passthrough is not None:
                self._passthrough.close()
        if self.path.suffix.lower() == ".mkv" and self._timestamps:
            settings = self.settings
            set_display_size(self.partial, round(settings.width * settings.sample_aspect_ratio), settings.height)
