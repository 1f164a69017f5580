"""The one type that stages of a conversion pass on: a frame, and what has been made of it so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vshdr.expand.device_batches import InFlightBatch
from vshdr.media.read.source import Frame
from vshdr.temporal.gain_frames import GainFrame
from vshdr.temporal.signature import Signature


@dataclass(frozen=True, kw_only=True)
class FrameResult:
    """One frame on its way from the decoder to the outputs. What a stage does not make, or no later one needs, is None.

    A stage returns a new one (`dataclasses.replace`) and leaves the old one as it is.
    """

    frame: Frame
    """As decoded: number, timestamps and stored planes."""
    wanted: bool = True
    """Whether an output takes it. Others pass through smoothing for the sake of their neighbours."""
    sdr: Tensor | None = None
    """3 x H x W float32, RGB code values in [0, 1]."""
    linear: Tensor | None = None
    """3 x H x W float32 linear light, 1.0 = SDR white, in the source's working primaries."""
    planes: Sequence[NDArray[np.uint16]] | None = None
    """Y, Cb and Cr of a delivery, uint16, where a device has made them."""
    light_counts: Tensor | None = None
    """Histogram and sums of the light, counted on a device, for `ContentLightMeter.add_counts`."""
    in_flight: InFlightBatch | None = None
    """The batch that it was sent to a device in. `planes` and `light_counts` lie in its memory, and are valid as long
    as it is kept here.
    """
    signature: Signature | None = None
    """What the shot detector knows of it; with smoothing only."""
    starts_shot: bool = False
    """Whether a shot begins with it; with smoothing only."""
    gain_frame: GainFrame | None = None
    """Its gain before smoothing, where a frame that is wanted needs it."""


def require[T](value: T | None) -> T:
    """Return a field that an earlier stage has filled."""
    assert value is not None
    return value
