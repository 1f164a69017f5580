"""HDR10's static metadata: the mastering display (SMPTE ST 2086) and the content light levels (CTA-861.3).

The writer, the arguments for `vspipe | ffmpeg` and the plugin's frame properties all take their values from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vshdr.colour.h273 import ChromaLocation, Primaries
from vshdr.colour.primaries import chromaticities
from vshdr.colour.transfer import PQ_PEAK
from vshdr.errors import InputError

_P3 = chromaticities(Primaries.DISPLAY_P3)


@dataclass(frozen=True, kw_only=True)
class MasteringDisplay:
    """SMPTE ST 2086: the display that the picture is meant to have been graded on."""

    primaries: tuple[tuple[float, float], tuple[float, float], tuple[float, float]] = (_P3.red, _P3.green, _P3.blue)
    """CIE xy of red, green and blue; by default P3, the gamut of the displays that HDR10 is graded on."""
    white_point: tuple[float, float] = _P3.white
    """CIE xy of white; by default D65."""
    min_luminance: float = 0.0001
    """Black in nits."""
    max_luminance: float = 1000.0
    """The brightest white in nits."""

    def agrees_with(self, other: MasteringDisplay | None) -> bool:
        """Return whether both are the same in AV1's coding, the coarsest (xy in 1/65536, black in 1/16384 nit)."""
        if other is None:
            return False
        points = zip((*self.primaries, self.white_point), (*other.primaries, other.white_point), strict=True)
        return (
            all(math.isclose(a, b, abs_tol=3e-5) for pair in points for a, b in zip(*pair, strict=True))
            and math.isclose(self.min_luminance, other.min_luminance, abs_tol=1 / 16384)
            and math.isclose(self.max_luminance, other.max_luminance, abs_tol=1 / 256)
        )


@dataclass(frozen=True, kw_only=True)
class ContentLight:
    """CTA-861.3: how bright the content gets, in whole nits, 0..65535."""

    max_cll: int
    """The largest max(R, G, B) of any pixel of any frame."""
    max_fall: int
    """The largest frame mean of max(R, G, B)."""

    def coded(self) -> bytes:
        """Return the four bytes that HEVC, AV1 and the `clli` box all hold."""
        return self.max_cll.to_bytes(2, "big") + self.max_fall.to_bytes(2, "big")


@dataclass(frozen=True, kw_only=True)
class HDRDescription:
    """What the container or the bitstream says about the picture. None where it says nothing."""

    primaries: int | None = None
    """H.273 ColourPrimaries (`Primaries`, but a file may hold any number, here and below)."""
    transfer: int | None = None
    """H.273 TransferCharacteristics (`Transfer`)."""
    matrix: int | None = None
    """H.273 MatrixCoefficients (`Matrix`)."""
    full_range: bool | None = None
    """True for full range, False for limited."""
    chroma_location: ChromaLocation | None = None
    """Where chroma samples lie."""
    mastering: MasteringDisplay | None = None
    """The mastering display."""
    light: ContentLight | None = None
    """MaxCLL and MaxFALL."""


def peak_bound(peak: float) -> float:
    """Return nits that no sample exceeds: `peak`, or PQ's 10000 for a `peak` of 0. Raise InputError for others."""
    if not (peak == 0.0 or 1.0 <= peak <= PQ_PEAK):
        raise InputError(f"peak is {peak:g} nits; give 1 to {PQ_PEAK:.0f}, or 0 for no limit but that of PQ")
    return float(peak) or PQ_PEAK


def mastering_display(peak: float) -> MasteringDisplay:
    """Return the P3-D65 mastering display of a picture that goes up to `peak` nits (0: no limit)."""
    return MasteringDisplay(max_luminance=peak_bound(peak))


def provisional_content_light(peak: float) -> ContentLight:
    """Return what can be said about the light before it is measured: neither value exceeds the peak.

    Matroska's integers are as long as their values need. The bound is at least 256, so that both fields get the two
    bytes that any measured value fits into when it replaces the bound in the finished file.
    """
    bound = max(256, math.ceil(peak_bound(peak)))
    return ContentLight(max_cll=bound, max_fall=bound)


def content_light(max_cll: float, max_fall: float) -> ContentLight:
    """Return measured light levels in nits as they are written: rounded to whole nits.

    Raise InputError for values that no PQ picture has.
    """
    for name, value in (("max_cll", max_cll), ("max_fall", max_fall)):
        if not 0.0 <= value <= PQ_PEAK:
            raise InputError(f"{name} is {value} nits; it has to be between 0 and {PQ_PEAK:.0f}")
    cll, fall = round(max_cll), round(max_fall)
    # HEVC forbids the bytes 00 00 00..03 inside a NAL unit and escapes them with one more byte (7.3.1.1). The values
    # are patched into a finished file, where nothing may change its length. One nit more on MaxCLL, an upper bound
    # anyway, ends the run of zeros. It is needed in two cases: MaxCLL is 0 (00 00, then the high byte of MaxFALL), or
    # its low byte is 0 and MaxFALL is below 4.
    if cll == 0 or (cll & 0xFF == 0 and fall < 4):
        cll += 1
    return ContentLight(max_cll=cll, max_fall=fall)


def mastering_properties(peak: float) -> dict[str, float | list[float]]:
    """Return VapourSynth frame properties of the mastering display for a picture of up to `peak` nits (0: no limit).

    Lists are in the order red, green, blue, as FFMS2 and BestSource set them; luminances are in nits.
    """
    display = mastering_display(peak)
    return {
        "MasteringDisplayPrimariesX": [x for x, _ in display.primaries],
        "MasteringDisplayPrimariesY": [y for _, y in display.primaries],
        "MasteringDisplayWhitePointX": display.white_point[0],
        "MasteringDisplayWhitePointY": display.white_point[1],
        "MasteringDisplayMinLuminance": display.min_luminance,
        "MasteringDisplayMaxLuminance": display.max_luminance,
    }
