"""Clips that show the same frames, read in lockstep."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.errors import InputError
from vshdr.media.numbered_name import NumberedName
from vshdr.media.read.linear_source import LinearSource
from vshdr.metrics.flicker.frame_difference import downscale
from vshdr.metrics.flicker.motion import SMALLEST
from vshdr.temporal.shots import transitions
from vshdr.temporal.signature import Signature, signature
from vshdr.temporal.transitions import Transition


class FrameSet(NamedTuple):
    """One frame of every clip."""

    lights: list[Tensor]
    """Linear light of each clip, 1 x 3 x H x W, at the size that is measured."""
    signature: Signature
    """Of the first clip, for the shot detector."""


def check_comparable(sources: Sequence[LinearSource], roles: Sequence[str]) -> None:
    """Raise InputError unless all clips have one size that is large enough and the "source" among `roles` is SDR."""
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


def measured_size(source: LinearSource, widest: int) -> tuple[int, int]:
    """Return the width and height at which a clip is measured: at most `widest` pixels across (0: no limit)."""
    if not widest or source.width <= widest:
        return source.width, source.height
    return max(widest, SMALLEST), max(SMALLEST, round(source.height * widest / source.width))


def frame_sets(sources: Sequence[LinearSource], size: tuple[int, int]) -> Iterator[FrameSet]:
    """Yield the frames of all clips at (width, height) `size`. Raise InputError if one ends before the others."""
    iterators = [iter(source) for source in sources]
    count = 0
    while True:
        frames = [next(iterator, None) for iterator in iterators]
        here = [frame for frame in frames if frame is not None]
        if not here:
            return
        if len(here) < len(frames):
            ended = next(source.name for source, frame in zip(sources, frames, strict=True) if frame is None)
            longer = next(source.name for source, frame in zip(sources, frames, strict=True) if frame is not None)
            raise InputError(f"{ended} ends after {count} frames, {longer} goes on; cut them to one length")
        lights = [downscale(frame.linear[None], *size) for frame in here]
        changes = [frame.scene_change for frame in here if frame.scene_change is not None]
        # The shot detector needs SDR code values; HDR gets them by the tone curve of Reinhard et al. 2002 (eq. 3).
        shown = lights[0] if not sources[0].hdr else lights[0].clamp_min(0.0) / (1.0 + lights[0].clamp_min(0.0))
        code = INVERSE_EOTF["bt1886"](shown.clamp(0.0, 1.0))[0]
        yield FrameSet(lights, signature(code, changes[0] if changes else None))
        count += 1


def with_transitions(frames: Iterator[FrameSet]) -> Iterator[tuple[FrameSet, Transition | None]]:
    """Yield each frame set with the transition before it. The detector looks a few frames ahead, which wait here."""
    waiting: deque[FrameSet] = deque()

    def signatures() -> Iterator[Signature]:
        for frame_set in frames:
            waiting.append(frame_set)
            yield frame_set.signature

    for event in transitions(signatures()):
        yield waiting.popleft(), event


def clip_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each clip: its file name without suffix and counter, with the folder where two are alike."""

    def short(path: Path) -> str:
        numbered = NumberedName.parse(path)
        return (numbered.before.rstrip("._- ") if numbered else path.stem) or path.absolute().parent.name

    names = [short(path) for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.absolute().parent.name}/{name}" for path, name in zip(paths, names, strict=True)]
    return [name if names.count(name) == 1 else f"{name} ({number + 1})" for number, name in enumerate(names)]
