"""The streams of a media file, and what PyAV says about them in Python's own types."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.rational import AVRational
from av.stream import Disposition
from av.video.stream import VideoStream


def first_video_stream(container: InputContainer) -> VideoStream | None:
    """Return the first video stream that is not a cover picture."""
    return next(
        (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic), None
    )


def has_streams(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is one file that can hold audio and subtitles: no folder, image sequence or script."""
    return Path(path).is_file() and Path(path).suffix.lower() not in {".vpy", ".py"}


def fraction(rational: AVRational) -> Fraction:
    """Return FFmpeg's rational number, whose denominator is not 0, as Python's."""
    return Fraction(rational.numerator, rational.denominator)
