"""Writing HDR10 and HLG video: frames in, one checked file out.

FFmpeg's encoder and muxer are used apart. The encoder puts the metadata into the bitstream by its own
parameters. The muxer's stream is copied from an in-memory template file that carries the same metadata as
stream side data (PyAV cannot set it), so FFmpeg writes the native boxes or elements of each container.
"""

from __future__ import annotations

import io
import os
from array import array
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

from vshdr.errors import EncodeError, InputError, OutputExistsError, reason
from vshdr.media.codecs import DEFAULT_PIXEL_FORMAT
from vshdr.media.containers.matroska import DISPLAY_SIZE_ROOM, set_display_size, template
from vshdr.media.metadata import TRANSFER_NUMBERS, content_light, content_light_bound, mastering_display
from vshdr.media.write.content_light import patch_content_light
from vshdr.media.write.encoders import SITED_TOP_LEFT, VideoSettings, check, open_encoder, set_colour_tags
from vshdr.media.write.passthrough import Passthrough, has_streams
from vshdr.media.write.verify import verify
from vshdr.runtime.locks import open_locked

__all__ = ["DEFAULT_PIXEL_FORMAT", "VideoSettings", "VideoWriter"]

# Matroska guards each cluster with a checksum that patching light levels in place would break; other muxers
# write none.
_MUXER_OPTIONS = {".mkv": {"write_crc32": "0"}}


class VideoWriter:
    """Writes one video file, under a partial name (`name.partial.mkv`) until it is complete and checked.

    A context manager. Left by an exception, or without `finish`, it closes the partial file so that it plays,
    and keeps it under that name; if no frame was written it is removed. The final name appears only when all
    is well.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: VideoSettings,
        source: str | os.PathLike[str] | None = None,
        overwrite: bool = True,
    ) -> None:
        """Open the encoder and the file.

        `source` is the file that audio, subtitles, attachments, chapters and tags are copied from; an image
        sequence or a script has none, which is fine. A file that has the final name is replaced in the end,
        or refused now if not `overwrite`. Raise InputError for settings that do not fit, OutputExistsError
        for that refusal, OSError if a file cannot be opened.
        """
        self.path, self.settings = Path(path), settings
        suffix = self.path.suffix.lower()
        check(settings, suffix)
        if not overwrite and self.path.exists():
            raise OutputExistsError(f"{self.path} exists already; choose another name or overwrite it")
        self.partial = self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}")
        """Where the file grows."""
        self.left_out: list[str] = []
        """One sentence for each thing of the source that the container cannot carry."""
        self._shapes = settings.plane_shapes()
        self._timestamps = array("q")
        self._durations: dict[int, int] = {}  # of frames inside the encoder, by timestamp
        self._held: tuple[av.VideoFrame, int] | None = None
        self._passthrough: Passthrough | None = None
        self._encoder = open_encoder(settings)
        self._output: av.container.OutputContainer | None = None
        self._lock = open_locked(
            self.partial, f"{self.partial} is being written by another run; let it end, or name another output"
        )
        try:
            self._output = av.open(os.fspath(self.partial), "w", container_options=_MUXER_OPTIONS.get(suffix, {}))
            self._stream = self._add_stream(suffix)
            if source is not None and has_streams(source):
                self._passthrough = Passthrough(source, self._output, suffix)
                self.left_out = self._passthrough.left_out
            if suffix == ".mkv":
                self._stream.metadata["title"] = self._stream.metadata.get("title", "") + DISPLAY_SIZE_ROOM
            self._output.start_encoding()
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
        with self._lock:  # until all is done: another run may not even begin
            self._leave(failed=error is not None)

    def write(self, planes: Sequence[np.ndarray], pts: int, duration: int = 0) -> None:
        """Encode one frame.

        `planes` are Y, Cb and Cr, uint16 arrays of rows x columns with limited-range BT.2020 code values of
        the pixel format's depth. `pts`, and `duration` where it is known, are in ticks of
        `settings.time_base`; `pts` has to rise. Raise InputError for planes or timestamps that do not fit,
        EncodeError if the encoder fails, OSError if the file cannot be written.
        """
        if self._timestamps and pts <= self._timestamps[-1]:
            raise InputError(f"timestamps have to rise, but {pts} follows {self._timestamps[-1]}")
        frame = self._frame(planes, pts)
        self._encode_held(pts)  # a frame lasts until the next one, so each waits for its successor
        self._timestamps.append(pts)
        self._held = frame, duration

    def finish(self, max_cll: float, max_fall: float) -> None:
        """End the file, fills in the measured light levels in nits, checks it and gives it its final name.

        HLG carries no light levels; there the two are ignored. Raise InputError if no frame was written,
        VerificationError if the written file is not what was meant, OSError if it cannot be written; the partial
        file then stays.
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
            os.fsync(file.fileno())  # a name that outlives a power cut has to have its content
        os.replace(self.partial, self.path)

    def _leave(self, failed: bool) -> None:
        """Close what is open yet. Raise what goes wrong there, unless something `failed` before."""
        if self._output is None:
            return
        failure = None
        for step in (partial(self._flush, complete=False), self._close):
            try:
                step()
            except (av.FFmpegError, OSError, RuntimeError) as trouble:
                failure = failure or trouble
        if not self._timestamps:
            self.partial.unlink(missing_ok=True)
        if failure is not None and not failed:  # else the error that came first is the one to hear about
            raise failure

    def _add_stream(self, suffix: str) -> av.VideoStream:
        settings = self.settings
        hdr10 = settings.transfer == "pq"
        data = template(
            settings.codec,
            width=settings.width,
            height=settings.height,
            transfer=TRANSFER_NUMBERS[settings.transfer],
            top_left=settings.format.startswith("yuv420"),
            mastering=mastering_display(settings.peak) if hdr10 else None,
            light=content_light_bound(settings.peak) if hdr10 else None,
        )
        with av.open(io.BytesIO(data)) as container:
            stream = self._output.add_stream_from_template(container.streams.video[0], opaque=True)
        described = stream.codec_context
        described.pix_fmt, described.extradata = settings.format, self._encoder.extradata
        set_colour_tags(described, settings)
        if settings.codec == "x265" and suffix != ".mkv":
            described.codec_tag = "hvc1"  # Apple's players refuse the other tag, hev1
        elif settings.codec == "prores":
            described.codec_tag = self._encoder.codec_tag
        if settings.frame_rate is not None:
            described.framerate = settings.frame_rate  # MP4 counts its timecode by it
        stream.time_base = settings.time_base
        return stream

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
        if settings.format.startswith("yuv420"):
            frame.chroma_location = SITED_TOP_LEFT
        return frame

    def _encode_held(self, next_pts: int | None) -> None:
        if self._held is None:
            return
        frame, duration = self._held
        self._held = None
        if next_pts is not None:
            duration = duration or next_pts - frame.pts
        elif not duration:  # the last one: as long as the one before, or a nominal frame
            rate = self.settings.frame_rate or Fraction(25)
            duration = (
                self._timestamps[-1] - self._timestamps[-2]
                if len(self._timestamps) > 1
                else max(1, round(1 / rate / self.settings.time_base))
            )
        self._durations[frame.pts] = duration
        self._encode(frame)

    def _encode(self, frame: av.VideoFrame | None) -> None:
        """Encode one frame, or with None all that the encoder still holds, and write what comes out."""
        try:
            self._mux(self._encoder.encode(frame))
        except av.FFmpegError as error:
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

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 0)
            if len(self._timestamps) < 3:
                # x265 derives decoding times from a variable that it sets with the third frame. Fewer are
                # never reordered.
                packet.dts = packet.pts
            if self._passthrough is not None:
                self._passthrough.write_until(packet.dts * self.settings.time_base)
            packet.stream = self._stream
            self._output.mux_one(packet)

    def _close(self) -> None:
        """Write the trailer and lets go of both files."""
        output, self._output = self._output, None
        try:
            output.close()
        finally:
            if self._passthrough is not None:
                self._passthrough.close()
        if self.path.suffix.lower() == ".mkv" and self._timestamps:
            settings = self.settings
            set_display_size(self.partial, round(settings.width * settings.sample_aspect_ratio), settings.height)
