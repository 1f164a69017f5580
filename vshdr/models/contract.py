"""The contract of a model: what the Expander and training may ask of a network or an analytic operator."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from vshdr.errors import InputError
from vshdr.models.cards import Card

Domain = Literal["linear", "log", "relative"]
"""What a network's output means while it is trained.

linear: multiples of SDR white. log: ln(linear + EPSILON). relative: in [0, 1], where 1 is `Display.headroom` times SDR
white.
"""

EPSILON = 1.0 / 255.0
"""Added to linear light before its logarithm, so that noise in black does not count (HDRCNN)."""


@dataclass(frozen=True, kw_only=True)
class Display:
    """How the SDR was meant to be displayed, and how bright the HDR may become. Every model is built for one."""

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
class ParameterGroup:
    """Parameters that learn at the same rate."""

    parameters: list[nn.Parameter]
    rate_factor: float = 1.0
    """Factor of the learning rate."""


class Model(nn.Module, ABC):
    """A function of single frames: its output for a frame depends on that frame alone, never on the other frames of the
    batch or on earlier ones.

    Nothing may be normalised by statistics of a frame, because that makes a video flicker.

    A subclass takes a `Display`, has a `card` and implements `forward`. The other methods have defaults that suit an
    operator, or a network whose output is linear light and that learns as a whole.
    """

    card: ClassVar[Card]

    def __init__(self, display: Display) -> None:
        super().__init__()
        self.display = display

    # What the Expander asks.

    @property
    def brightest(self) -> float:
        """The largest value that `forward` can give: the headroom where `card.bounded`, else no limit."""
        return self.display.headroom if self.card.bounded else math.inf

    def summarise(self, sdr: Tensor) -> Tensor | None:
        """Return what `forward` needs to know about the whole frame, N x ...; None where `card.whole_frame` is False.

        `sdr` is N x 3 x H x W in [0, 1].
        """
        return None

    def cut(self, summary: Tensor | None, size: tuple[int, int], rows: slice, columns: slice) -> Tensor | None:
        """Return the part of `summary` that the tile at `rows` and `columns` needs.

        `size` is the height and width of the padded frame. Rows and columns start and end at multiples of
        `card.multiple`.
        """
        return summary

    @abstractmethod
    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        """Return linear light, N x 3 x H x W, at least 0, where 1.0 is SDR white.

        `sdr` is N x 3 x H x W in [0, 1], a frame or a tile. `summary` is what `summarise` made of the whole frame,
        `cut` to the tile; without it, `sdr` is the whole frame.
        """

    # What loading asks.

    def load(self, state: Mapping[str, Tensor], origin: str) -> Self:
        """Fill the network with weights in any layout that `from_published` knows, and return the network.

        Raise InputError naming `origin` (the file) and the first tensor that is missing, unknown, of another shape, or
        that holds a NaN or an infinity.
        """
        misfit = f"{origin} does not fit {self.card.name}"
        try:
            given = self.from_published(state)
        except InputError as error:
            raise InputError(f"{misfit}: {error}") from error
        own = self.state_dict()
        for name, tensor in own.items():
            if name not in given:
                raise InputError(f"{misfit}: {name} is missing")
            if given[name].shape != tensor.shape:
                found, wanted = tuple(given[name].shape), tuple(tensor.shape)
                raise InputError(f"{misfit}: {name} has shape {found}, not {wanted}")
            if not torch.isfinite(given[name]).all():
                raise InputError(f"{origin} holds values that are not finite, first in {name}")
        unknown = sorted(set(given) - set(own))
        if unknown:
            raise InputError(f"{misfit}: it has {unknown[0]}, which the network has not")
        self.load_state_dict(given)
        return self

    def from_published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return `state` under the names and in the layout of this class.

        `state` may be this class's own, as published, or from an earlier version of the class. Names that are unknown
        stay as they are; `load` reports them. Raise InputError with the reason where a published layout is incomplete.
        """
        return dict(state)

    # What training asks.

    def initialise(self, generator: torch.Generator) -> None:
        """Initialise a network that was just made, where PyTorch's own initialisation of its layers is not meant.

        Random numbers come from `generator` alone.
        """

    def load_pretrained_backbone(self) -> None:
        """Fill the backbone with what it learned elsewhere; a network without such weights does nothing.

        Raise MissingPackageError where the weights are not installed.
        """

    def training_output(self, sdr: Tensor) -> tuple[Tensor, Domain]:
        """Return what losses judge, and the domain that it is in.

        `sdr` is N x 3 x H x W in [0, 1]. The output is of the same shape, or at half the height and width.
        """
        return self(sdr, self.summarise(sdr)), "linear"

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the parameters that learn, in groups of the same rate."""
        return [ParameterGroup(parameters=[item for item in self.parameters() if item.requires_grad])]

    def freeze_for(self, phase: str) -> None:
        """Take the gradients from what must not learn in `phase`, "reconstruction" or "stability"."""

    def learn_statistics(self, learning: bool) -> None:
        """Choose whether normalisations use and gather the statistics of their batch, as they must in training.

        Training alone calls it: outside, a frame's output may not depend on its batch.
        """


def renamed(state: Mapping[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    """Return `state` with the prefix `old` of names replaced by `new`."""
    return {new + name.removeprefix(old) if name.startswith(old) else name: tensor for name, tensor in state.items()}


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is at least `value`."""
    return -(-value // multiple) * multiple
