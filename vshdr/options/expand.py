"""What a user may choose about the expansion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from vshdr.errors import InputError
from vshdr.options.declare import EXPERIMENTAL, check, option


class ExpanderKeywords(TypedDict, total=False):
    """Keyword arguments of `Expander`: the fields of `ExpandOptions` but `model`, for editors and type checkers."""

    gamma: float
    weights: str
    white: float
    peak: float
    strength: float
    smooth: int
    smooth_mode: str
    device: str
    device_index: int
    precision: str
    fuse: int
    batch: int
    tile: tuple[int, int]
    overlap: int


class ExpandKeywords(ExpanderKeywords, total=False):
    """The fields of `ExpandOptions` as keyword arguments."""

    model: str


@dataclass(frozen=True, kw_only=True)
class ExpandOptions:
    """What a user may choose about the expansion. The plugin, the command line and Python share these names and
    defaults.
    """

    gamma: float = option(
        1.0,
        "highlight control: y = f(x^(1/g))^g around the whole model; 1.1 to 1.3 brightens highlights, 0.5 to 2",
        low=0.5,
        high=2.0,
    )
    model: str = option("", "a name of `vshdr models`; empty for the default")
    weights: str = option("", "a weights file or a name of `vshdr weights list`; empty for the model's own")
    white: float = option(
        203.0, "luminance of SDR white in nits, 50 to 1000 (ITU-R BT.2408: 203)", low=50.0, high=1000.0
    )
    peak: float = option(
        1000.0,
        "luminance of the brightest output in nits, white to 10000; brighter light rolls off below it; 0 for no limit",
        low=0.0,
        high=10000.0,
    )
    strength: float = option(
        1.0,
        "share of the gain that is applied, in stops: 0 is the linearised SDR, 1 what the model says, up to 2",
        low=0.0,
        high=2.0,
    )
    smooth: int = option(
        0,
        "temporal smoothing of the gain: frames on either side that a frame's gain is averaged with, within its shot, "
        "0 to 12; 0 is off, 2 takes most of the flicker, more takes a little more and costs more",
        low=0,
        high=12,
    )
    smooth_mode: str = option(
        "gain",
        "gain averages along the motion of the picture; percentile is ExpandNet's smoother, for comparison",
        choices=("gain", "percentile"),
    )
    device: str = option(
        "auto", f"auto takes CUDA where there is one (CUDA is {EXPERIMENTAL})", choices=("auto", "cpu", "cuda")
    )
    device_index: int = option(0, f"which CUDA device, from 0 ({EXPERIMENTAL})", low=0)
    precision: str = option(
        "auto",
        "of networks (gainmap and operators are always fp32); auto takes the best for the model and the device "
        f"(on CUDA {EXPERIMENTAL})",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    fuse: int = option(
        0,
        "1 has torch.compile fuse a GPU's work on frames that come and go as integer planes: faster, after a minute of "
        f"compiling ({EXPERIMENTAL})",
        low=0,
        high=1,
    )
    batch: int = option(
        0,
        "frames per call of the network, up to 64; 0 takes 1 on a CPU, where more only costs memory, and up to 4 on a "
        f"GPU (there {EXPERIMENTAL})",
        low=0,
        high=64,
    )
    tile: tuple[int, int] = option(
        (0, 0),
        "width and height of tiles in pixels; 0 takes the model's own choice: whole frames, "
        "or what bounds memory on a CPU",
    )
    overlap: int = option(
        -1, "pixels that tiles see beyond their edge; -1 takes what makes them equal the whole frame", low=-1
    )

    def __post_init__(self) -> None:
        check(self)
        if 0 < self.peak < self.white:
            raise InputError(f"peak must be at least white ({self.white:g} nits), or 0 for no limit, not {self.peak:g}")
        if len(self.tile) != 2 or min(self.tile) < 0:
            raise InputError(f"tile must be a width and a height in pixels, not {list(self.tile)}")
