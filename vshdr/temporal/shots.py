"""The shots of a clip, found frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vshdr.temporal.signature import Signature
from vshdr.temporal.transitions import LOOKAHEAD, SHOT_BEGINS, Transition, transition
from vshdr.temporal.windows import windows


@dataclass(frozen=True, kw_only=True)
class Shot:
    """The frames between two boundaries: `range(shot.start, shot.end)`."""

    start: int
    """Number of its first frame."""
    end: int
    """Number of the frame after its last."""
    begins: str
    """How it begins: with the "start" of the clip, a "cut" or a "fade"."""
    flashes: tuple[int, ...] = ()
    """Numbers of the frames with which flashes within it begin."""


def transitions(signatures: Iterable[Signature]) -> Iterator[Transition | None]:
    """Yield `transition` for each frame of a clip in order, three frames late."""
    for number, window in windows(signatures, LOOKAHEAD, LOOKAHEAD - 1):
        yield transition(number, window)


def with_boundaries[T](frames: Iterable[tuple[T, Signature]]) -> Iterator[tuple[T, Signature, bool]]:
    """Yield frames with their signatures and whether a shot begins with them, three frames late."""
    waiting: deque[tuple[T, Signature]] = deque()

    def signatures() -> Iterator[Signature]:
        for item in frames:
            waiting.append(item)
            yield item[1]

    for event in transitions(signatures()):
        yield *waiting.popleft(), event in SHOT_BEGINS


def shots(signatures: Iterable[Signature]) -> Iterator[Shot]:
    """Yield the shots of a clip in order, each three frames after its end."""
    start, begins = 0, "start"
    flashes: list[int] = []
    number = -1
    for number, event in enumerate(transitions(signatures)):
        if event == "flash":
            flashes.append(number)
        elif event is not None:
            yield Shot(start=start, end=number, begins=begins, flashes=tuple(flashes))
            start, begins, flashes = number, event, []
    if number >= 0:
        yield Shot(start=start, end=number + 1, begins=begins, flashes=tuple(flashes))
