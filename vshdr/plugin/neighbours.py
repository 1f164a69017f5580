"""The frames around a frame, read from VapourSynth's memory. What was made of a frame is kept: the windows of the
frames beside it need it too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from vshdr.expand.expander import Expander
from vshdr.plugin.abi import Neighbour, Plane
from vshdr.plugin.planes import read_planes
from vshdr.temporal.gain_frames import GainFrame
from vshdr.temporal.signature import Signature, signature
from vshdr.temporal.transitions import LOOKAHEAD, starts_shot

_SPARE = 1  # more frames are kept than a window has, because requests may come slightly out of order


class Neighbours:
    """The gain frames of one clip.

    What is kept of a frame depends on that frame alone, so it makes no difference whether it is kept or made again.
    C never asks for two windows of one clip at a time.
    """

    def __init__(self, expander: Expander) -> None:
        self._expander = expander
        self._radius = expander.options.smooth
        self._signatures = _Kept[Signature](2 * (self._radius + LOOKAHEAD) + 64)
        self._gain_frames = _Kept[GainFrame](2 * self._radius + 1 + _SPARE)

    def gain_frames(self, number: int, window: Sequence[Neighbour], shape: tuple[int, ...]) -> Mapping[int, GainFrame]:
        """Return the gain frames within the radius of frame `number`, by their numbers.

        `window` holds these frames and those beyond the radius that show where shots begin; `shape` is that of a frame,
        3 x H x W.
        """
        signatures = {n.number: self._signatures.get(n.number, lambda n=n: self._signature(n, shape)) for n in window}
        return {
            n.number: self._gain_frames.get(n.number, lambda n=n: self._gain_frame(n, signatures, shape))
            for n in window
            if abs(n.number - number) <= self._radius
        }

    def _signature(self, neighbour: Neighbour, shape: tuple[int, ...]) -> Signature:
        change = neighbour.scene_change
        return signature(_read(neighbour.sdr, shape), None if change < 0 else bool(change))

    def _gain_frame(
        self, neighbour: Neighbour, signatures: Mapping[int, Signature], shape: tuple[int, ...]
    ) -> GainFrame:
        number = neighbour.number
        sdr, gain = _read(neighbour.sdr, shape), _read(neighbour.expanded, shape)
        return self._expander.gain_frame(sdr, gain, signatures[number], starts_shot(number, signatures))


def _read(planes: Iterable[Plane], shape: tuple[int, ...]) -> Tensor:
    frame = torch.empty(shape)
    read_planes(planes, frame)
    return frame


class _Kept[T]:
    """The values that were last asked for, by frame number, at most `size` of them."""

    def __init__(self, size: int) -> None:
        self._values: OrderedDict[int, T] = OrderedDict()
        self._size = size

    def get(self, number: int, make: Callable[[], T]) -> T:
        """Return the value of `number`, which `make` makes if it is not kept."""
        if number not in self._values:
            self._values[number] = make()
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        self._values.move_to_end(number)
        return self._values[number]
