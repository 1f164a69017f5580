"""What an input's code values mean, and how `core.resize` turns them into what networks and meters take.

Both doors of vshdr, the plugin and `convert`, take their defaults and their `core.resize` arguments from here, so that
they agree to the last bit. `vshdr.media.delivery` does the same for the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import vapoursynth as vs
from torch import Tensor

from vshdr.colour.h273 import ColourRange, Matrix, Primaries, Transfer
from vshdr.colour.primaries import convert_primaries
from vshdr.colour.transfer import hlg_decode
from vshdr.errors import InputError

EOTF_OF_TRANSFER: dict[int, str] = {
    Transfer.BT709: "bt1886",
    Transfer.BT601: "bt1886",
    Transfer.ST240: "bt1886",
    Transfer.BT2020_10: "bt1886",
    Transfer.BT2020_12: "bt1886",
    Transfer.BT470_M: "gamma22",
    Transfer.BT470_BG: "gamma28",
    Transfer.LINEAR: "linear",
    Transfer.SRGB: "srgb",
}
"""The display's curve, a key of `vshdr.colour.transfer.EOTF`, for each transfer that an SDR clip may carry.

The camera curves of television (BT.709, BT.601, SMPTE 240M, the SDR ones of BT.2020) are all shown through BT.1886.
"""

# BT.709's curve, carried on below black and above white. Read as BT.709, as `core.resize` does not know the second.
_BT709_BEYOND_WHITE = {Transfer.XVYCC, Transfer.BT1361}

# Gamuts wider than BT.709, which become RGB of BT.2020. Narrower ones and near relatives (NTSC, EBU, BT.601) become
# RGB of BT.709.
_WIDE_PRIMARIES = {Primaries.BT2020, Primaries.DCI_P3, Primaries.DISPLAY_P3}


@dataclass(frozen=True, kw_only=True)
class Signal:
    """The colour description of an SDR clip, complete: no field is unspecified.

    Fields are plain integers, because a clip may carry numbers that the enums of `vshdr.colour.h273` do not have.
    """

    matrix: int
    """`Matrix`; `Matrix.RGB` for RGB."""
    transfer: int
    """`Transfer`."""
    primaries: int
    """`Primaries` of the clip as it comes in."""
    full_range: bool
    """True where 0 to the maximum is used, False for video range (16-235 scaled to the depth)."""
    hdr_label: int = field(default=0, compare=False)
    """`Transfer.PQ` or `Transfer.HLG` where the clip is labelled so and is taken for SDR all the same; else 0."""

    @property
    def eotf(self) -> str:
        """Name of the display's curve, a key of `vshdr.colour.transfer.EOTF`."""
        return EOTF_OF_TRANSFER[self.transfer]

    @property
    def working_primaries(self) -> Primaries:
        """BT.709 or BT.2020: the primaries of the RGB that networks see and of the linear light they return."""
        return Primaries.BT2020 if self.primaries in _WIDE_PRIMARIES else Primaries.BT709


def signal_of(props: Mapping[str, Any], *, rgb: bool, allow_hdr: bool = False) -> Signal:
    """Return the complete `Signal` of a frame with the properties `_Matrix`, `_Transfer`, `_Primaries` and `_Range`.

    Where they are absent or unspecified, YUV and grey are taken as BT.709 shown through BT.1886 in video range, and RGB
    as sRGB in full range. With `allow_hdr` a PQ or HLG clip is taken for SDR with BT.1886, whatever its label says.

    Raise InputError for a clip that already is HDR, and for a transfer that has no display curve here.
    """

    # 0 and 3 are reserved by H.273; as a matrix, 0 is that of RGB, which says nothing about YUV.
    says_nothing = (0, Matrix.UNSPECIFIED, 3)

    def given(name: str, default: int) -> int:
        value = props.get(name, Matrix.UNSPECIFIED)
        return default if value in says_nothing else value

    hdr_label, transfer = 0, given("_Transfer", Transfer.SRGB if rgb else Transfer.BT709)
    if transfer in (Transfer.PQ, Transfer.HLG):
        if not allow_hdr:
            name = "PQ" if transfer == Transfer.PQ else "HLG"
            raise InputError(f"the clip already is HDR ({name}); allow_hdr treats it as SDR all the same")
        hdr_label, transfer = transfer, Transfer.BT709
    if transfer in _BT709_BEYOND_WHITE:
        transfer = Transfer.BT709
    if transfer not in EOTF_OF_TRANSFER:
        raise InputError(
            f"no display curve is known for transfer {transfer}; set _Transfer to what the clip is shown through"
        )
    return Signal(
        matrix=Matrix.RGB if rgb else given("_Matrix", Matrix.BT709),
        transfer=transfer,
        primaries=given("_Primaries", Primaries.BT709),
        full_range=props.get("_Range", ColourRange.FULL if rgb else ColourRange.LIMITED) == ColourRange.FULL,
        hdr_label=hdr_label,
    )


def input_properties(signal: Signal) -> dict[str, int]:
    """Return frame properties that tell `core.resize` what `signal_of` found; to be set on every frame before it."""
    return {
        "_Matrix": signal.matrix,
        "_Transfer": signal.transfer,
        "_Primaries": signal.primaries,
        "_Range": ColourRange.FULL if signal.full_range else ColourRange.LIMITED,
    }


def sdr_arguments(signal: Signal) -> dict[str, int | str]:
    """Return arguments for `core.resize.Bilinear` from a clip with `input_properties(signal)` to RGBS code values.

    The transfer stays the clip's own: networks see code values as they are sent to a screen. The filter only resamples
    chroma here; it is bilinear because that does not ring around highlights.
    """
    arguments: dict[str, int | str] = {"format": int(vs.RGBS)}
    if signal.primaries != signal.working_primaries:
        arguments["primaries"] = signal.working_primaries
    return arguments


def linear_arguments(hdr_label: int, white: float) -> dict[str, int | float]:
    """Return arguments for `core.resize.Bilinear` from PQ, HLG or linear light to the RGBS that `linear_from` takes.

    `hdr_label` is `Transfer.PQ`, `Transfer.HLG` or 0 for linear light; `white` nits become 1.0.
    """
    if hdr_label == Transfer.HLG:
        return {"format": int(vs.RGBS), "primaries": Primaries.BT2020}
    return {
        "format": int(vs.RGBS),
        "transfer": Transfer.LINEAR,
        "primaries": Primaries.BT709,
        "nominal_luminance": white,
    }


def linear_from(rgb: Tensor, hdr_label: int, white: float) -> Tensor:
    """Return linear light of BT.709, 1.0 = `white` nits, of what `linear_arguments` gave; both are 3 x H x W.

    Here only HLG is decoded, because zimg applies its system gamma to each channel and not to luminance.
    """
    if hdr_label != Transfer.HLG:
        return rgb
    return convert_primaries(hlg_decode(rgb[None]) / white, Primaries.BT2020, Primaries.BT709)[0]
