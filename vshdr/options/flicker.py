"""What a user of `vshdr flicker` may choose."""

from __future__ import annotations

from dataclasses import dataclass

from vshdr.errors import InputError
from vshdr.options.declare import check, option


@dataclass(frozen=True, kw_only=True)
class FlickerOptions:
    """What clips are compared with, how they are measured, and which reports are written."""

    sdr: str = option("", "the SDR that the clips were made from: its own grain and motion are no flicker of theirs")
    truth: str = option("", "the true HDR: what the scene itself does in highlights is no flicker, either")
    model: str = option("", "also tell how far this model's output fails to move with the picture; needs --sdr")
    jod: bool = option(False, "with ColorVideoVDP against --truth (pip install vshdr[quality]); slow")
    width: int = option(640, "wider pictures are averaged down to this many pixels; 0 for full size", low=0)
    white: float = option(203.0, "nits of PQ and HLG that SDR white has", low=50.0, high=1000.0)
    frame_rate: float = option(0.0, "frames per second of image sequences; 0 for 24", low=0.0, high=1000.0)
    json: str = option("", "write everything that was measured to this file")
    csv: str = option("", "write a row per frame and clip to this file")
    html: str = option("", "write one page with plots, the worst frames and a comparison to this file")

    def __post_init__(self) -> None:
        check(self)
        if self.model and not self.sdr:
            raise InputError("--model needs --sdr, which the model is given")
        if self.jod and not self.truth:
            raise InputError("--jod needs --truth, which the clips are compared with")
