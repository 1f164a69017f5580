"""A window that slides over a stream of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


def windows[T](frames: Iterable[T], before: int, after: int) -> Iterator[tuple[int, Mapping[int, T]]]:
    """Yield for each frame its number and a window: the frames from `before` frames before it to `after` frames after
    it, by number, without those that the stream does not have.

    A frame comes out once the `after` frames after it have come in. A window is valid until the next one is asked for.
    """
    window: dict[int, T] = {}
    due = 0
    for number, frame in enumerate(frames):
        window[number] = frame
        if number >= after:
            yield due, window
            window.pop(due - before, None)
            due += 1
    for number in range(due, max(window, default=-1) + 1):
        yield number, window
        window.pop(number - before, None)
