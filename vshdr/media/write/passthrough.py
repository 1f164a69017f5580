"""Everything of a source but its picture: audio, subtitles, attachments, chapters and tags, copied unchanged.

The source is opened a second time, and only the streams that are copied are demuxed, just ahead of the picture, so that
memory stays constant. What the new container cannot hold is left out and listed in `Passthrough.left_out`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream
from av.subtitles.codeccontext import SubtitleCodecContext

from vshdr.media.read.streams import first_video_stream, fraction
from vshdr.media.write.tags import lasting_tags

# Text subtitles without layout: the same words can be written in each container's own format.
_PLAIN_TEXT = {"subrip", "srt", "text", "mov_text"}
_TEXT_CODEC = {".mkv": "subrip", ".mp4": "mov_text", ".mov": "mov_text"}


@dataclass
class _CopiedStream:
    """One stream of the source and its copy."""

    source: Stream
    target: Stream
    converted: bool
    """True for text subtitles that are decoded and encoded; all other packets are copied."""
    last: int | None = None
    """Decoding time of the last packet, in ticks of `target`."""


class Passthrough:
    """Copies the other streams of `source` into `output`.

    `output` has its video stream already, and its header is not written yet. Raise FFmpegError (an OSError or a
    ValueError) if `source` cannot be opened.
    """

    def __init__(self, source: str | os.PathLike[str], output: OutputContainer, suffix: str) -> None:
        self.left_out: list[str] = []
        """One sentence for each thing that the new file does not have."""
        self.earliest: Fraction = Fraction(0)
        """Time of the first packet in seconds, or 0 if that is earlier."""
        self._output, self._suffix = output, suffix
        self._input: InputContainer = av.open(os.fspath(source))
        self._copied: dict[int, _CopiedStream] = {}
        self._copy_tags()
        for stream in self._input.streams:
            self._add(stream)
            if stream.index not in self._copied:
                stream.discard = Discard.all  # the picture, most of the file, shall not be read twice
        self._packets = self._demux()
        self._next = next(self._packets, None)

    def write_until(self, seconds: Fraction) -> None:
        """Write all packets that belong before this time of the picture."""
        while self._next is not None and _time(self._next) <= seconds:
            self._write(self._next)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write all packets that are left."""
        while self._next is not None:
            self._write(self._next)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the source."""
        self._input.close()

    def _copy_tags(self) -> None:
        self._output.metadata.update(lasting_tags(self._input.metadata))
        self._output.set_chapters(self._input.chapters())
        picture = first_video_stream(self._input)
        if picture is not None:
            target = self._output.streams.video[0]
            target.metadata.update(lasting_tags(picture.metadata))
            target.disposition = picture.disposition

    def _add(self, stream: Stream) -> None:
        if stream.type == "video":
            if stream.disposition & Disposition.attached_pic:
                self._add_cover(stream)
            elif stream is not first_video_stream(self._input):
                self._leave_out(stream, "only the first video stream is converted")
        elif isinstance(stream, AttachmentStream):
            if self._suffix == ".mkv":
                name = stream.metadata.get("filename") or f"attachment{stream.index}"
                self._output.add_attachment(name, stream.mimetype or "application/octet-stream", stream.data)
            else:
                self._leave_out(stream, f"{self._suffix} files hold no attachments")
        elif stream.type == "data" and "timecode" in stream.metadata:
            pass  # a tag of the video says the same: it is copied, and FFmpeg makes such a track from it
        elif stream.type == "data" and _codec(stream) == "bin_data" and self._input.chapters():
            pass  # the track that MP4 keeps its chapters in
        elif self._holds(stream):
            target = self._output.add_stream_from_template(stream, opaque=True)
            self._copy(stream, target, converted=False)
        elif stream.type == "subtitle" and _codec(stream) in _PLAIN_TEXT:
            target = self._output.add_stream(_TEXT_CODEC[self._suffix])
            target.time_base = Fraction(1, 1000)
            target.codec_context.time_base = Fraction(1, 1000)
            reader, writer = _subtitle_context(stream), _subtitle_context(target)
            reader.open(strict=False)
            writer.subtitle_header = reader.subtitle_header
            self._copy(stream, target, converted=True)
        else:
            self._leave_out(stream, f"{self._suffix} files cannot hold it")

    def _copy(self, stream: Stream, target: Stream, converted: bool) -> None:
        target.metadata.update(lasting_tags(stream.metadata))
        target.disposition = stream.disposition
        self._copied[stream.index] = _CopiedStream(stream, target, converted)

    def _add_cover(self, stream: Stream) -> None:
        if self._suffix == ".mov":
            self._leave_out(stream, ".mov files hold no cover picture")
            return
        if self._suffix == ".mp4":
            self._copy(stream, self._output.add_stream_from_template(stream, opaque=True), converted=False)
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
        """Return whether the container takes such a stream.

        It is tried with an empty file, because muxers refuse some streams only when they write the header.
        """
        try:
            with av.open(io.BytesIO(), "w", format=self._output.format.name) as trial:
                target = trial.add_stream_from_template(stream, opaque=True)
                trial.start_encoding()
                if stream.type == "data" and (packet := self._first_packet(stream)) is not None:
                    packet.stream = target  # data that no muxer understands is refused later still
                    trial.mux_one(packet)
        except (FFmpegError, ValueError):
            return False
        return True

    def _first_packet(self, stream: Stream) -> Packet[Stream] | None:
        with av.open(self._input.name) as again:  # opened anew, so that `self._input` stays where it is
            return next((packet for packet in again.demux(again.streams[stream.index]) if packet.size), None)

    def _demux(self) -> Iterator[Packet[Stream]]:
        streams = [copied.source for copied in self._copied.values()]
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

    def _readable(self, packets: Iterator[Packet[Stream]]) -> Iterator[Packet[Stream]]:
        """Yield the packets up to where a damaged source cannot be read any more; the picture goes on without them."""
        try:
            yield from packets
        except FFmpegError as error:
            self.left_out.append(
                f"the source cannot be read to its end ({error.strerror}); its other streams end early"
            )

    def _convert(self, copied: _CopiedStream, packet: Packet[Stream]) -> Packet[Stream] | None:
        """Return a text subtitle in the new container's format; None where it holds nothing or cannot be read."""
        try:
            subtitle = _subtitle_context(copied.source).decode2(packet)
            if not subtitle:
                return None
            converted = _subtitle_context(copied.target).encode_subtitle(subtitle)
        except FFmpegError as error:
            self.left_out.append(f"the subtitle at {float(_time(packet)):.3f} s is left out: {error.strerror}")
            return None
        converted.pts, converted.dts, converted.duration = packet.pts, packet.pts, packet.duration
        converted.time_base = packet.time_base
        return converted

    def _write(self, packet: Packet[Stream]) -> None:
        self.earliest = min(self.earliest, _time(packet))
        copied = self._copied[packet.stream_index]
        if copied.converted:
            converted = self._convert(copied, packet)
            if converted is None:
                return
            packet = converted
        packet.rescale_ts(copied.target.time_base)
        # Broken sources step back in time, which no muxer takes; MP4 takes no standstill either. Such a packet follows
        # its predecessor at once, as ffmpeg does it.
        dts = _dts(packet)
        if copied.last is not None:
            dts = max(dts, copied.last + (self._suffix != ".mkv"))
        packet.dts = copied.last = dts
        packet.pts = dts if packet.pts is None else max(packet.pts, dts)
        if self._suffix != ".mkv":
            packet.duration = packet.duration or 1  # MP4's edit list would hide a last packet of no duration
        packet.stream = copied.target
        self._output.mux_one(packet)


def _dts(packet: Packet[Stream]) -> int:
    assert packet.dts is not None  # `_demux` lets no other packets through
    return packet.dts


def _time(packet: Packet[Stream]) -> Fraction:
    """Return the decoding time in seconds."""
    return _dts(packet) * fraction(packet.time_base)


def _subtitle_context(stream: Stream) -> SubtitleCodecContext:
    assert isinstance(stream.codec_context, SubtitleCodecContext)
    return stream.codec_context


def _codec(stream: Stream) -> str:
    return stream.codec_context.codec.canonical_name if stream.codec_context else stream.name or ""
