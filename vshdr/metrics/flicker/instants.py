"""Clips that show the same frames, read in step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.errors import InputError
from vshdr.media.read.linear_source import LinearSource
from vshdr.media.sequence import NumberedName
from vshdr.metrics.flicker.change import averaged_down
from vshdr.metrics.flicker.motion import SMALLEST
from vshdr.temporal.shots import transitions
from vshdr.temporal.signature import Signature, signature


class Instant(NamedTuple):
    """All clips at one frame: 1 x 3 x H x W each, as looked at."""

    lights: list[Tensor]
    signature: Signature


def check_together(sources: list[LinearSource], roles: list[str]) -> None:
    first = sources[0]
    for source, role in zip(sources, roles, strict=True):
        if (source.width, source.height) != (first.width, first.height):
            raise InputError(
                f"{source.name} is {source.width}x{source.height} and {first.name} {first.width}x{first.height}; "
                "clips that are compared have one size"
            )
        if role == "source" and source.hdr:
            raise InputError(f"{source.name} already is HDR; --sdr takes the SDR that the clips were made from")
    if min(first.width, first.height) < SMALLEST:
        raise InputError(
            f"{first.name} is {first.width}x{first.height}; motion can be followed from {SMALLEST} pixels on"
        )


def looked_at(source: LinearSource, widest: int) -> tuple[int, int]:
    if not widest or source.width <= widest:
        return source.width, source.height
    return max(widest, SMALLEST), max(SMALLEST, round(source.height * widest / source.width))


def instants(sources: list[LinearSource], size: tuple[int, int]) -> Iterator[Instant]:
    """Yield the clips in step. Raise InputError where one ends before the others."""
    iterators = [iter(source) for source in sources]
    count = 0
    while True:
        frames = [next(iterator, None) for iterator in iterators]
        if all(frame is None for frame in frames):
            return
        for source, frame in zip(sources, frames, strict=True):
            if frame is None:
                longer = next(s.name for s, f in zip(sources, frames, strict=True) if f is not None)
                raise InputError(f"{source.name} ends after {count} frames, {longer} goes on; cut them to one length")
        lights = [averaged_down(frame.linear[None], *size) for frame in frames]
        changes = [frame.scene_change for frame in frames if frame.scene_change is not None]
        # What the detector sees: code values, for HDR after Reinhard's curve.
        shown = lights[0] if not sources[0].hdr else lights[0].clamp_min(0.0) / (1.0 + lights[0].clamp_min(0.0))
        code = INVERSE_EOTF["bt1886"](shown.clamp(0.0, 1.0))[0]
        yield Instant(lights, signature(code, changes[0] if changes else None))
        count += 1


def with_transitions(instants: Iterator[Instant]) -> Iterator[tuple[Instant, str | None]]:
    """Yield each instant with what happens before it. The detector looks a few frames ahead, which wait here."""
    waiting: deque[Instant] = deque()

    def signatures() -> Iterator[Signature]:
        for instant in instants:
            waiting.append(instant)
            yield instant.signature

    for event in transitions(signatures()):
        yield waiting.popleft(), event


def names(paths: list[Path]) -> list[str]:
    """Return what to call each clip: the file's name without suffix and counter, with its folder where
    two are alike.
    """

    def short(path: Path) -> str:
        numbered = NumberedName.parse(path)
        return (numbered.before.rstrip("._- ") if numbered else path.stem) or path.absolute().parent.name

    names = [short(path) for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.absolute().parent.name}/{name}" for path, name in zip(paths, names, strict=True)]
    return [name if names.count(name) == 1 else f"{name} ({number + 1})" for number, name in enumerate(names)]
