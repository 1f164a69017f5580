"""The shots of a file, as a list, CSV or chapters."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vshdr.media.read.reader import open_source, read_sdr
from vshdr.runtime.files import atomic_write
from vshdr.temporal.shots import Shot, shots
from vshdr.temporal.signature import Signature, signature


@dataclass(frozen=True, kw_only=True)
class TimedShot:
    """A shot and when it is on screen."""

    shot: Shot
    start: Fraction
    """Seconds, by the clip's own timestamps."""
    end: Fraction
    """Seconds."""


def list_shots(path: str | Path, *, frame_rate: Fraction | None = None, allow_hdr: bool = False) -> Iterator[TimedShot]:
    """Yield the shots of a video, an image sequence or a .vpy script in order, each soon after it has ended.

    Arguments and errors are those of `vshdr.media.read.reader.open_source`.
    """
    source = open_source(path, frame_rate=frame_rate, allow_hdr=allow_hdr)
    clock = {0: Fraction(0)}  # when each frame begins: the end of a shot is known only some frames after it

    def signatures() -> Iterator[Signature]:
        for frame, sdr in read_sdr(source):
            clock[frame.index] = frame.pts * source.time_base
            clock[frame.index + 1] = (frame.pts + frame.duration) * source.time_base
            yield signature(sdr, frame.scene_change)

    for shot in shots(signatures()):
        yield TimedShot(shot=shot, start=clock[shot.start], end=clock[shot.end])
        for number in [number for number in clock if number < shot.end]:
            del clock[number]  # so that memory does not grow with the clip


def write_csv(path: str | Path, found: Iterable[TimedShot]) -> None:
    """Write a CSV file with one line per shot.

    Frames count from 0, times are seconds. `flashes` are the first frames of the flashes within the shot, with blanks
    between. Raise OSError where the file cannot be written.
    """
    with atomic_write(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("first_frame", "last_frame", "start_seconds", "end_seconds", "begins", "flashes"))
        for timed in found:
            shot = timed.shot
            times = (f"{float(seconds):.6f}" for seconds in (timed.start, timed.end))
            flashes = " ".join(map(str, shot.flashes))
            writer.writerow((shot.start, shot.end - 1, *times, shot.begins, flashes))


def write_chapters(path: str | Path, found: Iterable[TimedShot]) -> None:
    """Write a chapter per shot in the simple (OGM) format, which `mkvmerge --chapters` and MP4Box's `-chap` take.

    Raise OSError where the file cannot be written.
    """
    with atomic_write(path) as part, part.open("w") as file:
        for number, timed in enumerate(found, 1):
            file.write(f"CHAPTER{number:02d}={clock_time(timed.start)}\nCHAPTER{number:02d}NAME=Shot {number}\n")


def clock_time(seconds: Fraction) -> str:
    """Return a time as HH:MM:SS.mmm."""
    milliseconds = max(0, round(seconds * 1000))
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
