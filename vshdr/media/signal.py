"""What code values mean: the colour description of a clip, and how `core.resize` turns one description into another.

Numbers are those of ITU-T H.273, which VapourSynth's frame properties, FFmpeg and HEVC all share. Both doors of vshdr,
the plugin and `convert`, take their defaults and their `core.resize` arguments from here, so that they agree to the
last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import vapoursynth as vs
from torch import Tensor

from vshdr.colour.primaries import convert_primaries
from vshdr.colour.transfer import HLG_PEAK, hlg_decode, hlg_encode
from vshdr.errors import InputError
from vshdr.media.metadata import mastering_properties

# H.273 numbers that this file reasons about.
MATRIX_RGB, MATRIX_BT709, MATRIX_BT2020 = 0, 1, 9
TRANSFER_BT709, TRANSFER_LINEAR, TRANSFER_SRGB, TRANSFER_PQ, TRANSFER_HLG = 1, 8, 13, 16, 18
PRIMARIES_BT709, PRIMARIES_BT2020 = 1, 9
UNSPECIFIED = 2

# The display's curve for each transfer number that an SDR clip may carry. The camera curves of television (BT.709,
# BT.601, SMPTE 240M, the SDR ones of BT.2020) are all shown through BT.1886.
EOTF_OF_TRANSFER = {
    1: "bt1886",
    6: "bt1886",
    7: "bt1886",
    14: "bt1886",
    15: "bt1886",
    4: "gamma22",
    5: "gamma28",
    8: "linear",
    13: "srgb",
}

# xvYCC and BT.1361: BT.709's curve, carried on below black and above white. `core.resize` does not know the second.
_BT709_BEYOND_WHITE = (11, 12)

# Gamuts wider than BT.709 are carried in BT.2020, narrower ones and near relatives (NTSC, EBU, BT.601) in BT.709.
WIDE_PRIMARIES = {9, 11, 12}

# Without chroma_location, `core.resize` would take 4:2:0 as left-sited; UHD HDR is top-left-sited (BT.2020, HEVC
# chromaloc 2).
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
    hdr_label: int = field(default=0, compare=False)
    """The transfer that the clip is labelled with, where that is PQ (16) or HLG (18) and it is taken for SDR all the
    same; else 0.
    """

    @property
    def eotf(self) -> str:
        """Name of the display's curve, a key of `vshdr.colour.transfer.EOTF`."""
        return EOTF_OF_TRANSFER[self.transfer]

    @property
    def working_primaries(self) -> int:
        """1 (BT.709) or 9 (BT.2020): the primaries of the RGB that networks see and of the linear light they return."""
        return PRIMARIES_BT2020 if self.primaries in WIDE_PRIMARIES else PRIMARIES_BT709


def signal_of(props: Mapping[str, int], *, rgb: bool, allow_hdr: bool = False) -> Signal:
    """Return the complete `Signal` of a frame with the properties `props` (`_Matrix`, `_Transfer`, `_Primaries`,
    `_Range`).

    What is absent or unspecified is taken as BT.709 shown through BT.1886 in video range for YUV and grey, and as sRGB
    in full range for RGB. With `allow_hdr` a PQ or HLG clip is taken for SDR with BT.1886, whatever its label says.

    Raise InputError for a clip that already is HDR, and for a transfer that has no display curve here.
    """

    nothing_said = (0, UNSPECIFIED, 3)  # 0 and 3 are reserved; as a matrix 0 is RGB's, which says nothing about YUV

    def given(name: str, default: int) -> int:
        value = props.get(name, UNSPECIFIED)
        return default if value in nothing_said else value

    hdr_label, transfer = 0, given("_Transfer", TRANSFER_SRGB if rgb else TRANSFER_BT709)
    if transfer in (TRANSFER_PQ, TRANSFER_HLG):
        if not allow_hdr:
            name = "PQ" if transfer == TRANSFER_PQ else "HLG"
            raise InputError(f"the clip already is HDR ({name}); allow_hdr treats it as SDR all the same")
        hdr_label, transfer = transfer, TRANSFER_BT709
    if transfer in _BT709_BEYOND_WHITE:
        transfer = TRANSFER_BT709
    if transfer not in EOTF_OF_TRANSFER:
        raise InputError(
            f"no display curve is known for transfer {transfer}; set _Transfer to what the clip is shown through"
        )
    return Signal(
        matrix=MATRIX_RGB if rgb else given("_Matrix", MATRIX_BT709),
        transfer=transfer,
        primaries=given("_Primaries", PRIMARIES_BT709),
        full_range=props.get("_Range", int(rgb)) == 1,
        hdr_label=hdr_label,
    )


def input_properties(signal: Signal) -> dict[str, int]:
    """Return frame properties that tell `core.resize` what `signal_of` found; to be set on every frame before it."""
    return {
        "_Matrix": signal.matrix,
        "_Transfer": signal.transfer,
        "_Primaries": signal.primaries,
        "_Range": int(signal.full_range),
    }


def sdr_arguments(signal: Signal) -> dict[str, int | str]:
    """Return arguments for `core.resize.Bilinear` from a clip with `input_properties(signal)` to RGBS code values.

    The transfer stays the clip's own: networks see code values as a screen is sent them. Bilinear, because it does not
    ring around highlights; it only resamples chroma here.
    """
    arguments: dict[str, int | str] = {"format": int(vs.RGBS)}
    if signal.primaries != signal.working_primaries:
        arguments["primaries"] = signal.working_primaries
    return arguments


def linear_arguments(hdr_label: int, white: float) -> dict[str, int | float]:
    """Return arguments for `core.resize.Bilinear` from HDR labelled PQ (16), HLG (18) or neither (0: linear) to RGBS,
    from which `linear_from` makes light.
    """
    if hdr_label == TRANSFER_HLG:
        return {"format": int(vs.RGBS), "primaries": PRIMARIES_BT2020}
    return {
        "format": int(vs.RGBS),
        "transfer": TRANSFER_LINEAR,
        "primaries": PRIMARIES_BT709,
        "nominal_luminance": white,
    }


def linear_from(rgb: Tensor, hdr_label: int, white: float) -> Tensor:
    """Return linear light of BT.709, in which `white` nits are 1.0, of what `linear_arguments` gave, both 3 x H x W."""
    if hdr_label != TRANSFER_HLG:
        return rgb
    return convert_primaries(hlg_decode(rgb[None]) / white, PRIMARIES_BT2020, PRIMARIES_BT709)[0]


DITHERS = ("none", "ordered", "random", "error_diffusion")


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
    def code_transfer(self) -> int:
        """H.273 TransferCharacteristics of what leaves."""
        return {"linear": TRANSFER_LINEAR, "pq": TRANSFER_PQ, "hlg": TRANSFER_HLG}[self.output]

    def properties(self) -> dict[str, float | list[float]]:
        """Return frame properties beside those that `core.resize` sets: the mastering display, for PQ."""
        return mastering_properties(self.peak) if self.output == "pq" else {}

    def prepare(self, linear: Tensor, primaries: int) -> Tensor:
        """Return what `core.resize` is given of linear light, N x 3 x H x W, in H.273 `primaries`: for HLG its code
        values.
        """
        if self.output != "hlg":
            return linear
        return hlg_encode(convert_primaries(linear, primaries, PRIMARIES_BT2020) * self.white)

    def prepared_properties(self, primaries: int) -> dict[str, int]:
        """Return frame properties of what `prepare` gives."""
        if self.output != "hlg":
            return linear_properties(primaries)
        return linear_properties(PRIMARIES_BT2020) | {"_Transfer": TRANSFER_HLG}

    def described(self) -> dict[str, float | list[float]]:
        """Return all frame properties of pq and hlg that were not made by `core.resize`."""
        colours = {"_Matrix": MATRIX_BT2020, "_Transfer": self.code_transfer, "_Primaries": PRIMARIES_BT2020}
        return colours | {"_Range": 0, "_ChromaLocation": CHROMA_TOP_LEFT} | self.properties()

    def resize_arguments(self) -> dict[str, int | float | str]:
        """Return arguments for `core.resize.Bilinear` from RGBS with `prepared_properties` to the delivered format."""
        if self.output == "linear":
            return {"format": self.format_id}
        return {
            "format": self.format_id,
            "matrix": MATRIX_BT2020,
            "transfer": self.code_transfer,
            "primaries": PRIMARIES_BT2020,
            "range_s": "limited",
            "chromaloc": CHROMA_TOP_LEFT,
            "nominal_luminance": self.white,
            "dither_type": self.dither,
        }


# YUV420P8's neighbours are left out on purpose: eight bits of PQ are banding.
LINEAR_FORMATS = tuple(int(preset) for preset in (vs.RGBS, vs.RGBH))
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


def linear_properties(primaries: int) -> dict[str, int]:
    """Return frame properties of the linear RGB that the Expander returns; `primaries` is
    `Signal.working_primaries`.
    """
    return {"_Matrix": MATRIX_RGB, "_Transfer": TRANSFER_LINEAR, "_Primaries": primaries, "_Range": 1}
