"""Windows that slide over a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


def windows[T](frames: Iterable[T], before: int, behind: int) -> Iterator[tuple[int, Mapping[int, T]]]:
    """For each frame its number and, by number, the frames from `before` before it to `behind` behind it, as far as the
    stream has them; `behind` frames late. The mapping is good until the next one is asked for.
    """
    window: dict[int, T] = {}
    due = 0
    for number, frame in enumerate(frames):
        window[number] = frame
        if number >= behind:
            yield due, window
            window.pop(due - before, None)
            due += 1
    for number in range(due, max(window, default=-1) + 1):
        yield number, window
        window.pop(number - before, None)
