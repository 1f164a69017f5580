"""How a video encoder is set up: its settings, the check that they fit together, and opening it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import av
import av.logging
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from vshdr.colour.h273 import HDR_TRANSFERS, ChromaLocation, ColourRange, Matrix, Primaries
from vshdr.errors import InputError, MissingPackageError
from vshdr.media.encoder_arguments import encoder_parameters, join_parameters
from vshdr.media.metadata import peak_bound
from vshdr.media.video_codecs import CONTAINERS, ENCODERS, Encoder

_GLOBAL_HEADER = 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER: containers need the parameter sets in extradata
# What FFmpeg logs when x265 or SVT-AV1 does not know a parameter, and then goes on without it.
_PASSED_OVER = ("Unknown option", "Invalid value", "Error parsing option")


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """How a picture becomes a video stream."""

    width: int
    """Luma samples per line."""
    height: int
    """Lines."""
    time_base: Fraction
    """Seconds per tick of the timestamps that `VideoWriter.write` is given."""
    codec: str = "x265"
    """A key of `ENCODERS`."""
    transfer: str = "pq"
    """"pq" (HDR10) or "hlg"."""
    pixel_format: str = ""
    """FFmpeg's name of a planar 10- or 12-bit YCbCr format; empty for the encoder's default."""
    crf: float | None = None
    """Constant rate factor; None for the encoder's default."""
    preset: str = ""
    """The encoder's speed preset; empty for the default."""
    encoder_options: Mapping[str, str] = field(default_factory=dict)
    """More options: the encoder's own parameters for x265 and svtav1, AVOptions for the others."""
    frame_rate: Fraction | None = None
    """Nominal frames per second, for rate control and as a remark in the file; timestamps are what counts."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a sample divided by its height."""
    white: float = 203.0
    """Nits of SDR white in the picture; not above the peak."""
    peak: float = 1000.0
    """Nits that no sample exceeds, 0 for no limit but PQ's: the brightest white of the mastering display."""

    @property
    def encoder(self) -> Encoder:
        """The encoder's row of the table."""
        return ENCODERS[self.codec]

    @property
    def format(self) -> str:
        """FFmpeg's name of the pixel format, the default filled in."""
        return self.pixel_format or self.encoder.pixel_formats[0]

    @property
    def chroma_location(self) -> ChromaLocation | None:
        """Where chroma lies, which can be said of 4:2:0 only."""
        return ChromaLocation.TOP_LEFT if self.format.startswith("yuv420") else None

    def plane_shapes(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Return rows and columns of Y, Cb and Cr."""
        across, down = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[self.format[3:6]]
        chroma = self.height // down, self.width // across
        return (self.height, self.width), chroma, chroma


def check(settings: VideoSettings, suffix: str) -> None:
    """Raise InputError, in one sentence, for settings that cannot become a file with this suffix; MissingPackageError
    where this FFmpeg lacks the encoder.
    """
    if suffix not in CONTAINERS:
        raise InputError(f"video cannot be written to {suffix or 'a name without suffix'}; use .mkv, .mp4 or .mov")
    if settings.codec not in ENCODERS:
        raise InputError(f"codec is {settings.codec!r}; use one of {', '.join(ENCODERS)}")
    if settings.transfer not in HDR_TRANSFERS:
        raise InputError(f"transfer is {settings.transfer!r}; use pq or hlg")
    encoder = settings.encoder
    if encoder.name not in av.codecs_available:
        raise MissingPackageError(
            f"this build of PyAV has no {encoder.name} encoder; use another codec than {settings.codec}"
        )
    if suffix not in encoder.containers:
        raise InputError(
            f"{settings.codec} video does not go into {suffix} files; use {' or '.join(encoder.containers)}"
        )
    if settings.format not in encoder.pixel_formats:
        raise InputError(f"{settings.codec} cannot encode {settings.format}; use {', '.join(encoder.pixel_formats)}")
    if settings.width in encoder.broken_widths:
        raise InputError(f"{settings.codec} fails on frames {settings.width} samples wide; use another codec for it")
    if min(settings.width, settings.height) < encoder.smallest:
        raise InputError(
            f"{settings.codec} needs at least {encoder.smallest}x{encoder.smallest} samples, the frame has "
            f"{settings.width}x{settings.height}; use ffv1 or prores for it"
        )
    if settings.codec == "x265" and settings.crf is not None and settings.crf > 51.0:
        raise InputError(f"crf of x265 is at most 51, not {settings.crf:g}")
    sampling = settings.format[3:6]
    if (sampling != "444" and settings.width % 2) or (sampling == "420" and settings.height % 2):
        advice = f"crop one line or use {settings.format.replace(sampling, '444')}"
        if settings.format.replace(sampling, "444") not in encoder.pixel_formats:
            advice = "crop one line or use another codec with a 4:4:4 pixel format"
        raise InputError(
            f"{settings.width}x{settings.height} has an odd side, "
            f"which 4:{sampling[1]}:{sampling[2]} cannot hold; {advice}"
        )
    if settings.crf is not None and encoder.crf is None:
        raise InputError(f"{settings.codec} has no crf; leave it out")
    if settings.preset and not encoder.preset:
        raise InputError(f"{settings.codec} has no presets; leave preset out")
    if settings.time_base <= 0 or settings.sample_aspect_ratio <= 0:
        raise InputError(
            f"time base {settings.time_base} and sample aspect ratio {settings.sample_aspect_ratio} must be positive"
        )
    if not 0 < settings.white <= peak_bound(settings.peak):
        raise InputError(
            f"SDR white at {settings.white:g} nits does not fit under a peak of "
            f"{peak_bound(settings.peak):g} nits; lower white or raise peak"
        )


def set_colour_tags(target: VideoCodecContext, settings: VideoSettings) -> None:
    """Set a codec context to BT.2020, PQ or HLG, limited range, top-left chroma, and to the aspect ratio."""
    target.color_primaries, target.colorspace = Primaries.BT2020, Matrix.BT2020_NCL
    target.color_trc = HDR_TRANSFERS[settings.transfer]
    target.color_range = ColourRange.LIMITED.ffmpeg
    target.sample_aspect_ratio = settings.sample_aspect_ratio
    if settings.chroma_location is not None:
        target.chroma_sample_location = settings.chroma_location.ffmpeg


def open_encoder(settings: VideoSettings) -> VideoCodecContext:
    """Return an encoder, opened, whose bitstream says all that the settings say. `settings` have passed `check`.

    Raise InputError if the encoder refuses them.
    """
    encoder = settings.encoder
    context = VideoCodecContext.create(encoder.name, "w")
    assert isinstance(context, VideoCodecContext)  # as all of `ENCODERS` encode video
    context.width, context.height, context.pix_fmt = settings.width, settings.height, settings.format
    context.time_base = settings.time_base
    context.framerate = settings.frame_rate or _plausible_rate(settings.time_base)
    context.flags |= _GLOBAL_HEADER
    context.thread_count = 0  # as many as there are cores
    set_colour_tags(context, settings)
    context.options = options = _options(settings)
    with _warnings() as messages:
        try:
            context.open()
        except (FFmpegError, ValueError) as error:
            reason = messages[-1][2].strip().rstrip(".") if messages else os.strerror(errno.EINVAL)
            chosen = {"crf": options.get("crf"), "preset": options.get("preset"), **settings.encoder_options}
            spoken = ", ".join(f"{key} {value}" for key, value in chosen.items() if value)
            raise InputError(
                f"{encoder.name} refuses {settings.width}x{settings.height} {settings.format}"
                f"{' with ' + spoken if spoken else ''}: {reason}"
            ) from error
    if refused := [text.strip().rstrip(".") for _, _, text in messages if text.startswith(_PASSED_OVER)]:
        raise InputError(f"{encoder.name} does not take its options: {'; '.join(refused)}")
    if context.options:  # FFmpeg removes those that it knows
        raise InputError(f"{encoder.name} has no option {', '.join(sorted(context.options))}")
    return context


@contextmanager
def _warnings() -> Iterator[list[tuple[int, str, str]]]:
    """Collect what FFmpeg logs on this thread inside the block: level, name, text."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        av.logging.set_level(level)


def _options(settings: VideoSettings) -> dict[str, str]:
    encoder = settings.encoder
    options = dict(encoder.options)
    if encoder.crf is not None:
        options["crf"] = f"{encoder.crf if settings.crf is None else settings.crf:g}"
    if encoder.preset:
        options["preset"] = settings.preset or encoder.preset
    if settings.codec == "ffv1" and min(settings.width, settings.height) < 16:
        options["slices"] = "0"  # as many as fit
    if settings.codec == "prores":
        options["profile"] = "4" if settings.format == "yuv444p10le" else "3"  # 4444 and HQ
    if not encoder.parameters:
        return options | dict(settings.encoder_options)
    parameters = encoder_parameters(settings.codec, settings.transfer, settings.peak, pixel_format=settings.format)
    if settings.codec == "x265":
        parameters["log-level"] = "error"
    else:
        os.environ.setdefault("SVT_LOG", "1")  # errors only; SVT-AV1 has no parameter for it
    options[encoder.parameters] = join_parameters(parameters | dict(settings.encoder_options))
    return options


def _plausible_rate(time_base: Fraction) -> Fraction:
    """Return a frame rate for rate control where none is known: a frame a tick, unless ticks are too short for that."""
    return 1 / time_base if 1 / time_base <= 240 else Fraction(25)
