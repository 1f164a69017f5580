"""The form in which light leaves vshdr, and how `core.resize` gives it that form.

Both doors, the plugin and `convert`, describe their output by a `Delivery`, so that they agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import vapoursynth as vs
from torch import Tensor

from vshdr.colour.h273 import HDR_TRANSFERS, ChromaLocation, ColourRange, Matrix, Primaries, Transfer
from vshdr.colour.primaries import convert_primaries
from vshdr.colour.transfer import HLG_PEAK, hlg_encode
from vshdr.errors import InputError
from vshdr.media.metadata import mastering_properties

DITHERS = ("none", "ordered", "random", "error_diffusion")
"""Dithers of `core.resize`."""

LINEAR_FORMATS = tuple(int(preset) for preset in (vs.RGBS, vs.RGBH))
"""VapourSynth formats of linear light."""

DELIVERY_FORMATS = tuple(
    int(preset)
    for preset in (
        vs.YUV420P10,
        vs.YUV420P12,
        vs.YUV420P16,
        vs.YUV422P10,
        vs.YUV422P12,
        vs.YUV422P16,
        vs.YUV444P10,
        vs.YUV444P12,
        vs.YUV444P16,
    )
)
"""VapourSynth formats of PQ and HLG. None has eight bits: PQ in eight bits shows bands."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The form in which linear light leaves: linear RGB, or integer YUV in PQ or HLG with BT.2020 primaries."""

    output: str = "linear"
    """linear (1.0 = SDR white), pq (SMPTE ST 2084) or hlg (ARIB STD-B67 for a display of 1000 nits)."""
    format: int = 0
    """VapourSynth format id; 0 is RGBS for linear and YUV420P10 for pq and hlg."""
    white: float = 203.0
    """Nits of SDR white."""
    peak: float = 1000.0
    """Nits of the brightest output; 0 for no limit (PQ ends at 10000)."""
    dither: str = "ordered"
    """none, ordered, random or error_diffusion. Ordered is the same in every frame, so it neither flickers nor costs
    bits.
    """

    def __post_init__(self) -> None:
        """Raise InputError for an output, dither, peak or format that does not exist or fit the others."""
        if self.output not in ("linear", "pq", "hlg"):
            raise InputError(f"output must be linear, pq or hlg, not '{self.output}'")
        if self.dither not in DITHERS:
            raise InputError(f"dither must be one of {', '.join(DITHERS)}, not '{self.dither}'")
        if self.output == "hlg" and not 0 < self.peak <= HLG_PEAK:
            asked = f"{self.peak:g}" if self.peak else "0, no limit"
            raise InputError(f"hlg carries at most {HLG_PEAK:g} nits; set peak to that or less, not {asked}")
        allowed = LINEAR_FORMATS if self.output == "linear" else DELIVERY_FORMATS
        if self.format_id not in allowed:
            names = ", ".join(vs.PresetVideoFormat(known).name for known in allowed)
            raise InputError(f"output '{self.output}' comes in {names}; format id {self.format_id} is none of them")

    @property
    def format_id(self) -> int:
        """The VapourSynth format id, the default filled in."""
        return self.format or int(vs.RGBS if self.output == "linear" else vs.YUV420P10)

    @property
    def code_transfer(self) -> Transfer:
        """The transfer of what leaves."""
        return HDR_TRANSFERS.get(self.output, Transfer.LINEAR)

    def prepare(self, linear: Tensor, primaries: Primaries) -> Tensor:
        """Return what `core.resize` is given for linear light, N x 3 x H x W, in `primaries`.

        That is the light itself, but HLG code values for HLG, whose system gamma zimg would apply to each channel.
        """
        if self.output != "hlg":
            return linear
        return hlg_encode(convert_primaries(linear, primaries, Primaries.BT2020) * self.white)

    def prepared_properties(self, primaries: Primaries) -> dict[str, int]:
        """Return frame properties of what `prepare` gives."""
        if self.output != "hlg":
            return linear_properties(primaries)
        return linear_properties(Primaries.BT2020) | {"_Transfer": Transfer.HLG}

    def resize_arguments(self) -> dict[str, int | float | str]:
        """Return arguments for `core.resize.Bilinear` from RGBS with `prepared_properties` to the delivered format."""
        if self.output == "linear":
            return {"format": self.format_id}
        return {
            "format": self.format_id,
            "matrix": Matrix.BT2020_NCL,
            "transfer": self.code_transfer,
            "primaries": Primaries.BT2020,
            "range_s": "limited",
            "chromaloc": ChromaLocation.TOP_LEFT,  # unless told, `core.resize` would place chroma on the left
            "nominal_luminance": self.white,
            "dither_type": self.dither,
        }

    def properties(self) -> dict[str, float | list[float]]:
        """Return frame properties beside those that `core.resize` sets: the mastering display, for PQ."""
        return mastering_properties(self.peak) if self.output == "pq" else {}

    def described(self) -> dict[str, float | list[float]]:
        """Return all frame properties of PQ and HLG frames that `core.resize` has not made."""
        return {
            "_Matrix": Matrix.BT2020_NCL,
            "_Transfer": self.code_transfer,
            "_Primaries": Primaries.BT2020,
            "_Range": ColourRange.LIMITED,
            "_ChromaLocation": ChromaLocation.TOP_LEFT,
            **self.properties(),
        }


def linear_properties(primaries: Primaries) -> dict[str, int]:
    """Return frame properties of the linear RGB that the Expander returns; `primaries` are those of the RGB it saw."""
    return {
        "_Matrix": Matrix.RGB,
        "_Transfer": Transfer.LINEAR,
        "_Primaries": primaries,
        "_Range": ColourRange.FULL,
    }
