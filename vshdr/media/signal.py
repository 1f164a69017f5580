"""What code values mean: the colour description of a clip, and how `core.resize` turns one description into another.

Numbers are those of ITU-T H.273, which VapourSynth's frame properties, FFmpeg and HEVC all share. Both doors of vshdr, the
plugin and `convert`, take their defaults and their `core.resize` arguments from here, so that they agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# H.273 numbers that this file reasons about.
MATRIX_RGB, MATRIX_BT709, MATRIX_BT2020 = 0, 1, 9
TRANSFER_BT709, TRANSFER_LINEAR, TRANSFER_SRGB, TRANSFER_PQ, TRANSFER_HLG = 1, 8, 13, 16, 18
PRIMARIES_BT709, PRIMARIES_BT2020 = 1, 9
UNSPECIFIED = 2

# The display's curve for each transfer number that an SDR clip may carry. The camera curves of television (BT.709, BT.601,
# SMPTE 240M, the SDR ones of BT.2020) are all shown through BT.1886.
EOTF_OF_TRANSFER = {1: "bt1886", 6: "bt1886", 7: "bt1886", 14: "bt1886", 15: "bt1886", 4: "gamma22", 5: "gamma28",
                    8: "linear", 13: "srgb"}

# Gamuts wider than BT.709 are carried in BT.2020, narrower ones and near relatives (NTSC, EBU, BT.601) in BT.709.
WIDE_PRIMARIES = {9, 11, 12}

# Without chroma_location, `core.resize` would take 4:2:0 as left-sited; UHD HDR is top-left-sited (BT.2020, HEVC chromaloc 2).
CHROMA_TOP_LEFT = 2


@dataclass(frozen=True, kw_only=True)
class Signal:
    """The colour description of an SDR clip, complete: no field is unspecified."""

    matrix: int
    """H.273 MatrixCoefficients; 0 for RGB."""
    transfer: int
    """H.273 TransferCharacteristics."""
    primaries: int
    """H.273 ColourPrimaries as they come in."""
    full_range: bool
    """True where 0..maximum is used, False for video range (16-235 scaled to the depth)."""

    @property
    def eotf(self) -> str:
        """Name of the display's curve, a key of `vshdr.colour.EOTF`."""
        return EOTF_OF_TRANSFER[self.transfer]

    @property
    def working_primaries(self) -> int:
        """1 (BT.709) or 9 (BT.2020): the primaries of the RGB that networks see and of the linear light they return."""
        return PRIMARIES_BT2020 if self.primaries in WIDE_PRIMARIES else PRIMARIES_BT709


def describe(props: Mapping[str, int], *, rgb: bool, allow_hdr: bool = False) -> Signal:
    """The complete `Signal` of a frame with the properties `props` (`_Matrix`, `_Transfer`, `_Primaries`, `_Range`).

    What is absent or unspecified is taken as BT.709 shown through BT.1886 in video range for YUV and grey, and as sRGB in
    full range for RGB. With `allow_hdr` a PQ or HLG clip is taken for SDR with BT.1886, whatever its label says.

    Raises ValueError for a clip that already is HDR, and for a transfer that has no display curve here.
    """

    def given(name: str, default: int) -> int:
        value = props.get(name, UNSPECIFIED)
        return default if value == UNSPECIFIED else value

    transfer = given("_Transfer", TRANSFER_SRGB if rgb else TRANSFER_BT709)
    if transfer in (TRANSFER_PQ, TRANSFER_HLG):
        if not allow_hdr:
            name = "PQ" if transfer == TRANSFER_PQ else "HLG"
            raise ValueError(f"the clip already is HDR ({name}); allow_hdr treats it as SDR all the same")
        transfer = TRANSFER_BT709
    if transfer not in EOTF_OF_TRANSFER:
        raise ValueError(f"no display curve is known for transfer {transfer}; set _Transfer to what the clip is shown through")
    return Signal(matrix=MATRIX_RGB if rgb else given("_Matrix", MATRIX_BT709), transfer=transfer,
                  primaries=given("_Primaries", PRIMARIES_BT709), full_range=props.get("_Range", int(rgb)) == 1)


def input_properties(signal: Signal) -> dict[str, int]:
    """Frame properties that tell `core.resize` what `describe` found; to be set on every frame before it."""
    return {"_Matrix": signal.matrix, "_Transfer": signal.transfer, "_Primaries": signal.primaries,
            "_Range": int(signal.full_range)}
