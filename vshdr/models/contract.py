"""The contract between the Expander and whatever turns SDR into linear light: networks and analytic operators alike."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vshdr.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Display:
    """What SDR code values look like and how bright HDR may become. Given to every model when it is built."""

    eotf: str = "bt1886"
    """The SDR display's curve, a key of `vshdr.colour.transfer.EOTF`."""
    white: float = 203.0
    """Luminance of SDR white, in nits."""
    peak: float = 1000.0
    """Luminance of the brightest output, in nits."""

    @property
    def headroom(self) -> float:
        """How many times brighter than SDR white the peak is: `peak / white`, at least 1."""
        return max(1.0, self.peak / self.white)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the Expander and its users must know about a model. Frozen: it belongs to the class, not to a clip."""

    name: str
    """The name it is asked for by."""
    summary: str
    """One sentence: what it does to a picture and when to take it."""
    source: str
    """The publication or standard that it comes from."""
    multiple: int = 1
    """Frame sides must be multiples of this; the Expander pads by reflection and crops back. Tiles start on multiples
    of it.
    """
    context: int = 0
    """Pixels around a tile that can change it. With this much overlap, tiles equal the whole frame."""
    bounded: bool = False
    """True if its output never passes `Display.headroom`, so that the Expander need not roll it off."""
    whole_frame: bool = False
    """True if `Model.summarise` looks at a whole frame, also when the frame is then worked on in tiles."""
    weights: tuple[str, ...] = ()
    """Names in the weights catalogue, the default first; empty for operators, which have no weights."""
    precision: str = "fp32"
    """The best precision on a GPU, where `precision="auto"` uses it: fp32, bf16 or fp16. On a CPU auto is fp32."""
    recordable: bool = True
    """Whether `forward` never waits for its device, so that it can be recorded as a CUDA graph."""
    tile: int = 0
    """Side of the tiles that bound its memory on a CPU, where no tile size is asked for; 0 takes the frame whole."""


class Model(nn.Module, ABC):
    """Frame by frame and stateless: a frame's output depends on that frame alone, never on its batch or on an earlier
    one.

    Nothing may be normalised by statistics of a frame: that is what makes a video flicker.
    """

    description: Description

    def __init__(self, display: Display) -> None:
        super().__init__()
        self.display = display

    @property
    def brightest(self) -> float:
        """The largest value that `forward` can give: the headroom where `description.bounded`, else no limit."""
        return self.display.headroom if self.description.bounded else math.inf

    def summarise(self, sdr: Tensor) -> Tensor | None:
        """Return what `forward` must know of the whole frame, N x ...; None where `description.whole_frame` is False.

        `sdr` is N x 3 x H x W in [0, 1].
        """
        return None

    def cut(self, summary: Tensor | None, size: tuple[int, int], rows: slice, columns: slice) -> Tensor | None:
        """Return what of `summary` the tile of these `rows` and `columns` needs, of padded frames of (height, width)
        `size`.

        Rows and columns start and end at multiples of `description.multiple`.
        """
        return summary

    @abstractmethod
    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        """Return linear light of `sdr`, both N x 3 x H x W; `sdr` in [0, 1], the result in multiples of SDR white, >=
        0.

        `sdr` may be a tile; `summary` is what `summarise` made of the whole frame it was cut from, itself `cut`.
        """


def round_up(value: int, multiple: int) -> int:
    """Return the first multiple that is not smaller."""
    return -(-value // multiple) * multiple


def load_state(model: Model, state: dict[str, Tensor], origin: str) -> None:
    """Fill `model` with `state`, and refuses what does not fit or is not finite.

    Raise InputError naming `origin` (the file) and the first tensor that is missing, unknown, of another shape or that
    holds a NaN or an infinity.
    """
    own = model.state_dict()
    for name, tensor in own.items():
        if name not in state:
            raise InputError(f"{origin} does not fit {model.description.name}: {name} is missing")
        if state[name].shape != tensor.shape:
            found, wanted = (tuple(t.shape) for t in (state[name], tensor))
            raise InputError(f"{origin} does not fit {model.description.name}: {name} has shape {found}, not {wanted}")
        if not torch.isfinite(state[name]).all():
            raise InputError(f"{origin} holds values that are not finite, first in {name}")
    unknown = sorted(set(state) - set(own))
    if unknown:
        raise InputError(
            f"{origin} does not fit {model.description.name}: it has {unknown[0]}, which the network has not"
        )
    model.load_state_dict(state)
