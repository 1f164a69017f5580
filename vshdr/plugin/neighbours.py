"""The frames around a frame, out of VapourSynth's memory. What was made of a frame is kept for its neighbours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from vshdr.expand.expander import Expander
from vshdr.plugin.bridge import Neighbour
from vshdr.plugin.planes import read_planes
from vshdr.temporal.neighbours import Moment
from vshdr.temporal.signature import Glance, glance
from vshdr.temporal.transitions import LOOK, starts_shot

_SPARE = 1  # moments kept beyond a window, for frames that are not asked for in order


class Neighbours:
    """Moments of one clip. All that is kept depends on the frame alone, so forgetting it changes nothing.

    C never asks for two windows of one clip at a time.
    """

    def __init__(self, expander: Expander) -> None:
        self._expander = expander
        self._radius = expander.options.smooth
        self._glances = _Kept[Glance](2 * (self._radius + LOOK) + 64)
        self._moments = _Kept[Moment](2 * self._radius + 1 + _SPARE)

    def moments(self, number: int, window: Sequence[Neighbour], shape: tuple[int, ...]) -> Mapping[int, Moment]:
        """The moments within the radius of frame `number`. `window` is what C has of the frames from which they, and
        where their shots begin, are known; `shape` is that of a frame, 3 x H x W.
        """
        glances = {n.number: self._glances.get(n.number, lambda n=n: self._glance(n, shape)) for n in window}
        return {
            n.number: self._moments.get(n.number, lambda n=n: self._moment(n, glances, shape))
            for n in window
            if abs(n.number - number) <= self._radius
        }

    def _glance(self, neighbour: Neighbour, shape: tuple[int, ...]) -> Glance:
        change = neighbour.scene_change
        return glance(_read(neighbour, "sdr", shape), None if change < 0 else bool(change))

    def _moment(self, neighbour: Neighbour, glances: Mapping[int, Glance], shape: tuple[int, ...]) -> Moment:
        number = neighbour.number
        sdr, gain = (_read(neighbour, field, shape) for field in ("sdr", "linear"))
        return self._expander.moment(sdr, gain, glances[number], starts_shot(number, glances))


def _read(neighbour: Neighbour, field: str, shape: tuple[int, ...]) -> Tensor:
    frame = torch.empty(shape)
    read_planes(neighbour.planes, field, frame)
    return frame


class _Kept[T]:
    """The values that were asked for last, by number."""

    def __init__(self, size: int) -> None:
        self._values: OrderedDict[int, T] = OrderedDict()
        self._size = size

    def get(self, number: int, make: Callable[[], T]) -> T:
        """The value of `number`, made if it is not kept."""
        if number not in self._values:
            self._values[number] = make()
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        self._values.move_to_end(number)
        return self._values[number]
