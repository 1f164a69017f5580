"""Everything of a source but its picture: audio, subtitles, attachments, chapters and tags, unchanged.

The source is opened a second time and only the streams that are copied are demuxed, just ahead of the
picture, so memory stays constant. What the new container cannot hold is left out and said
(`Passthrough.left_out`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.stream import Discard, Disposition, Stream

# Text subtitles that hold no layout are the same words in each container's own format.
_PLAIN_TEXT = {"subrip", "srt", "text", "mov_text"}
_TEXT_CODEC = {".mkv": "subrip", ".mp4": "mov_text", ".mov": "mov_text"}
# Tags that describe the old file or its coding, not the programme.
_STALE_TAGS = {
    "encoder",
    "encoding_tool",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "vendor_id",
    "handler_name",
}


@dataclass
class _Route:
    """One stream on its way."""

    source: Stream
    target: Stream
    converted: bool
    """Whether text subtitles are decoded and encoded; all else is copied."""
    last: int | None = None
    """Decoding time of the last packet, in ticks of `target`."""


class Passthrough:
    """Copies the other streams of `source` into `output`.

    `output` has its video stream already, and its header is not written yet. Raise OSError or InputError if
    `source` cannot be opened.
    """

    def __init__(self, source: str | os.PathLike[str], output: OutputContainer, suffix: str) -> None:
        self.left_out: list[str] = []
        """One sentence for each thing that the new file does not have."""
        self.earliest = Fraction(0)
        """Time of the first packet in seconds, or 0 if that is earlier."""
        self._output, self._suffix = output, suffix
        self._input: InputContainer = av.open(os.fspath(source))
        self._routes: dict[int, _Route] = {}
        self._copy_tags()
        for stream in self._input.streams:
            self._add(stream)
            if stream.index not in self._routes:
                stream.discard = Discard.all  # so that the picture, most of the file, is not read twice
        self._packets = self._demux()
        self._next = next(self._packets, None)

    def write_until(self, seconds: Fraction) -> None:
        """Write all packets that belong before this time of the picture."""
        while self._next is not None and _time(self._next) <= seconds:
            self._write(self._next)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write what is left."""
        while self._next is not None:
            self._write(self._next)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the source."""
        self._input.close()

    def _copy_tags(self) -> None:
        self._output.metadata.update(_tags(self._input.metadata))
        self._output.set_chapters(self._input.chapters())
        picture = main_video(self._input)
        if picture is not None:
            target = self._output.streams.video[0]
            target.metadata.update(_tags(picture.metadata))
            target.disposition = picture.disposition

    def _add(self, stream: Stream) -> None:
        if stream.type == "video":
            if stream.disposition & Disposition.attached_pic:
                self._add_cover(stream)
            elif stream is not main_video(self._input):
                self._leave_out(stream, "only the first video stream is converted")
        elif stream.type == "attachment":
            if self._suffix == ".mkv":
                name = stream.metadata.get("filename") or f"attachment{stream.index}"
                self._output.add_attachment(name, stream.mimetype or "application/octet-stream", stream.data)
            else:
                self._leave_out(stream, f"{self._suffix} files hold no attachments")
        elif stream.type == "data" and "timecode" in stream.metadata:
            pass  # a tag of the video says the same; it is copied, and FFmpeg makes such a track from it
        elif stream.type == "data" and _codec(stream) == "bin_data" and self._input.chapters():
            pass  # the track that MP4 keeps its chapters in
        elif self._holds(stream):
            target = self._output.add_stream_from_template(stream, opaque=True)
            self._route(stream, target, converted=False)
        elif stream.type == "subtitle" and _codec(stream) in _PLAIN_TEXT:
            target = self._output.add_stream(_TEXT_CODEC[self._suffix])
            target.time_base = Fraction(1, 1000)
            target.codec_context.time_base = Fraction(1, 1000)
            stream.codec_context.open(strict=False)
            target.codec_context.subtitle_header = stream.codec_context.subtitle_header
            self._route(stream, target, converted=True)
        else:
            self._leave_out(stream, f"{self._suffix} files cannot hold it")

    def _route(self, stream: Stream, target: Stream, converted: bool) -> None:
        target.metadata.update(_tags(stream.metadata))
        target.disposition = stream.disposition
        self._routes[stream.index] = _Route(stream, target, converted)

    def _add_cover(self, stream: Stream) -> None:
        if self._suffix == ".mov":
            self._leave_out(stream, ".mov files hold no cover picture")
            return
        if self._suffix == ".mp4":
            self._route(stream, self._output.add_stream_from_template(stream, opaque=True), converted=False)
            return
        kind = _codec(stream).replace("mjpeg", "jpeg")
        packet = self._first_packet(stream)
        if packet is not None:
            self._output.add_attachment(
                stream.metadata.get("filename") or f"cover.{kind}", f"image/{kind}", bytes(packet)
            )

    def _leave_out(self, stream: Stream, why: str) -> None:
        details = {
            _codec(stream): None,
            stream.metadata.get("language", ""): None,
            stream.metadata.get("timecode", ""): None,
        }
        described = ", ".join(detail for detail in details if detail)
        self.left_out.append(
            f"{stream.type} stream {stream.index}{f' ({described})' if described else ''} is left out: {why}"
        )

    def _holds(self, stream: Stream) -> bool:
        """Return whether the container takes such a stream: tried, as muxers refuse some at the header only."""
        try:
            with av.open(io.BytesIO(), "w", format=self._output.format.name) as trial:
                target = trial.add_stream_from_template(stream, opaque=True)
                trial.start_encoding()
                if stream.type == "data" and (packet := self._first_packet(stream)) is not None:
                    packet.stream = target  # data that no muxer understands is found out still later
                    trial.mux_one(packet)
        except (av.FFmpegError, ValueError):
            return False
        return True

    def _first_packet(self, stream: Stream) -> av.Packet | None:
        with av.open(self._input.name) as again:  # so that the reader of the other streams does not move
            return next((packet for packet in again.demux(again.streams[stream.index]) if packet.size), None)

    def _demux(self) -> Iterator[av.Packet]:
        streams = [route.source for route in self._routes.values()]
        if not streams:
            return
        for packet in self._readable(self._input.demux(streams)):
            if packet.pts is None:
                is_cover = packet.stream.disposition & Disposition.attached_pic  # which has no time at all
                packet.pts = 0 if is_cover else packet.dts
            if packet.dts is None:
                packet.dts = packet.pts
            if packet.size and packet.dts is not None:  # an empty packet is the end of a stream
                yield packet

    def _readable(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
        """Yield the packets up to where a damaged source cannot be read any more: no reason to lose the picture."""
        try:
            yield from packets
        except av.FFmpegError as error:
            self.left_out.append(
                f"the source cannot be read to its end ({error.strerror}); its other streams end early"
            )

    def _convert(self, route: _Route, packet: av.Packet) -> av.Packet | None:
        try:
            subtitle = route.source.codec_context.decode2(packet)
            converted = subtitle and route.target.codec_context.encode_subtitle(subtitle)
        except av.FFmpegError as error:
            self.left_out.append(f"the subtitle at {float(_time(packet)):.3f} s is left out: {error.strerror}")
            return None
        if converted:
            converted.pts, converted.dts, converted.duration = packet.pts, packet.pts, packet.duration
            converted.time_base = packet.time_base
        return converted

    def _write(self, packet: av.Packet) -> None:
        self.earliest = min(self.earliest, _time(packet))
        route = self._routes[packet.stream_index]
        if route.converted:
            packet = self._convert(route, packet)
            if packet is None:
                return
        packet.rescale_ts(route.target.time_base)
        # Broken sources step back in time, which no muxer takes; MP4 takes no standstill either. As ffmpeg
        # does, such a packet follows its predecessor at once.
        earliest = packet.dts if route.last is None else route.last + (self._suffix != ".mkv")
        packet.dts = route.last = max(packet.dts, earliest)
        packet.pts = max(packet.pts, packet.dts)
        if self._suffix != ".mkv":
            packet.duration = packet.duration or 1  # MP4's edit list would hide a last packet of no duration
        packet.stream = route.target
        self._output.mux_one(packet)


def main_video(container: InputContainer) -> Stream | None:
    """Return the first video stream that is not a cover picture."""
    return next(
        (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic),
        None,
    )


def has_streams(path: str | os.PathLike[str]) -> bool:
    """Return whether a source is one file that can hold other streams: no folder, image sequence or script."""
    return Path(path).is_file() and Path(path).suffix.lower() not in {".vpy", ".py"}


def _time(packet: av.Packet) -> Fraction:
    return packet.dts * Fraction(packet.time_base.numerator, packet.time_base.denominator)


def _codec(stream: Stream) -> str:
    return stream.codec_context.codec.canonical_name if stream.codec_context else stream.name or ""


def _tags(metadata: dict[str, str]) -> dict[str, str]:
    tags = {
        key: value
        for key, value in metadata.items()
        if key.lower().split("-")[0] not in _STALE_TAGS and not key.upper().startswith("_STATISTICS_")
    }
    if "name" in tags:  # what MP4 calls the title of a track
        tags.setdefault("title", tags.pop("name"))
    return tags
