"""HDR10 and HLG metadata: what is said about the picture, and how each encoder wants to hear it.

The writer, the arguments for `vspipe | ffmpeg` and the plugin's frame properties all take their values from
here. Nothing in this file touches a file or an encoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vshdr.errors import InputError
from vshdr.media.codecs import ENCODERS

# H.273 numbers of BT.2020 primaries and non-constant luminance, and of the two HDR transfers.
BT2020_PRIMARIES, BT2020_NCL = 9, 9
TRANSFER_NUMBERS = {"pq": 16, "hlg": 18}
# FFmpeg's (and x265's) names of the same.
TRANSFER_NAMES = {"pq": "smpte2084", "hlg": "arib-std-b67"}

PEAK_LIMIT = 10000.0  # nits; the end of SMPTE ST 2084's scale


@dataclass(frozen=True, kw_only=True)
class MasteringDisplay:
    """SMPTE ST 2086: the display that the picture is meant to have been graded on."""

    primaries: tuple[tuple[float, float], tuple[float, float], tuple[float, float]] = (
        (0.680, 0.320),
        (0.265, 0.690),
        (0.150, 0.060),
    )
    """CIE xy of red, green and blue; by default P3-D65, the gamut of the displays HDR10 is graded on."""
    white_point: tuple[float, float] = (0.3127, 0.3290)
    """CIE xy of white; D65."""
    min_luminance: float = 0.0001
    """Black in nits."""
    max_luminance: float = 1000.0
    """The brightest white in nits."""

    def agrees_with(self, other: MasteringDisplay | None) -> bool:
        """Return whether both are the same in AV1's coding, the coarsest (xy in 1/65536, black in 1/16384 nit)."""
        if other is None:
            return False
        chromaticities = [
            *zip(sum(self.primaries, self.white_point), sum(other.primaries, other.white_point), strict=True)
        ]
        return (
            all(math.isclose(a, b, abs_tol=3e-5) for a, b in chromaticities)
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


def peak_bound(peak: float) -> float:
    """Return nits that no sample exceeds: `peak`, or PQ's 10000 for a `peak` of 0. ValueError if impossible."""
    if not (peak == 0.0 or 1.0 <= peak <= PEAK_LIMIT):
        raise InputError(f"peak is {peak:g} nits; give 1 to {PEAK_LIMIT:.0f}, or 0 for no limit but that of PQ")
    return float(peak) or PEAK_LIMIT


def mastering_display(peak: float) -> MasteringDisplay:
    """Return the P3-D65 mastering display of a picture that goes up to `peak` nits (0: no limit)."""
    return MasteringDisplay(max_luminance=peak_bound(peak))


def content_light_bound(peak: float) -> ContentLight:
    """Return what can be said about the light before it is measured: neither value exceeds the peak.

    Never below 256, so that Matroska, whose integers are as long as their values need, gives both fields the
    two bytes that any measured value fits into.
    """
    bound = max(256, math.ceil(peak_bound(peak)))
    return ContentLight(max_cll=bound, max_fall=bound)


def content_light(max_cll: float, max_fall: float) -> ContentLight:
    """Return measured light levels in nits as they are written: rounded to whole nits.

    Raise InputError for values that no PQ picture has.
    """
    for name, value in (("max_cll", max_cll), ("max_fall", max_fall)):
        if not 0.0 <= value <= PEAK_LIMIT:
            raise InputError(f"{name} is {value} nits; it has to be between 0 and {PEAK_LIMIT:.0f}")
    cll, fall = round(max_cll), round(max_fall)
    # HEVC forbids the bytes 00 00 00..03 inside a NAL unit and escapes them with one byte more. The values
    # are patched into a finished file, where nothing may change its length: one nit more on MaxCLL (which is
    # a bound anyway) ends the run of zeros. Two cases: MaxCLL 0 (00 00, then the high byte of MaxFALL), or a
    # low byte of 0 followed by a MaxFALL below 4.
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


def x265_mastering(display: MasteringDisplay) -> str:
    """Return x265's `master-display`: xy in units of 0.00002, luminances in units of 0.0001 nits (HEVC D.3.28)."""
    return _mastering(display, lambda xy: str(round(xy * 50000)), lambda nits: str(round(nits * 10000)))


def svtav1_mastering(display: MasteringDisplay) -> str:
    """Return SVT-AV1's `mastering-display`: the same layout in plain numbers."""
    return _mastering(display, lambda xy: f"{xy:.5f}", lambda nits: f"{nits:.4f}")


def _mastering(display: MasteringDisplay, xy, nits) -> str:
    red, green, blue = display.primaries
    points = {"G": green, "B": blue, "R": red, "WP": display.white_point}
    return (
        "".join(f"{name}({xy(x)},{xy(y)})" for name, (x, y) in points.items())
        + f"L({nits(display.max_luminance)},{nits(display.min_luminance)})"
    )


def encoder_parameters(
    codec: str,
    transfer: str,
    peak: float,
    light: ContentLight | None = None,
    pixel_format: str = "yuv420p10le",
) -> dict[str, str]:
    """Return parameters that make `codec` write colour description and, for PQ, HDR10 metadata into its bitstream.

    For "x265" these are x265's own (`x265-params`), for "svtav1" SVT-AV1's (`svtav1-params`), for any other
    codec none: there the container is the only place. `light` defaults to `content_light_bound(peak)`. HLG is
    relative to the display that shows it, so it carries neither a mastering display nor light levels.
    """
    light = light or content_light_bound(peak)
    sited = pixel_format.startswith("yuv420")  # the siting of chroma has a code point for 4:2:0 only
    if codec == "x265":
        parameters = {
            "repeat-headers": "1",
            "colorprim": "bt2020",
            "transfer": TRANSFER_NAMES[transfer],
            "colormatrix": "bt2020nc",
            "range": "limited",
        }
        if sited:
            parameters["chromaloc"] = "2"
        if transfer == "pq":
            parameters |= {
                "hdr10": "1",
                "master-display": x265_mastering(mastering_display(peak)),
                "max-cll": f"{light.max_cll},{light.max_fall}",
            }
            if pixel_format == "yuv420p10le":  # x265 has this optimisation for no other format
                parameters["hdr10-opt"] = "1"
        return parameters
    if codec == "svtav1":
        parameters = {
            "color-primaries": "bt2020",
            "transfer-characteristics": str(TRANSFER_NUMBERS[transfer]),
            "matrix-coefficients": "bt2020-ncl",
            "color-range": "studio",
            "chroma-sample-position": "topleft",
        }
        if transfer == "pq":
            parameters |= {
                "mastering-display": svtav1_mastering(mastering_display(peak)),
                "content-light": f"{light.max_cll},{light.max_fall}",
            }
        return parameters
    return {}


def join_parameters(parameters: Mapping[str, str]) -> str:
    """`key=value:key=value`, the syntax of `-x265-params` and `-svtav1-params`."""
    return ":".join(f"{key}={value}" for key, value in parameters.items())


def ffmpeg_arguments(
    codec: str,
    *,
    transfer: str = "pq",
    peak: float = 1000.0,
    max_cll: float | None = None,
    max_fall: float | None = None,
    crf: float | None = None,
    preset: str = "",
    pixel_format: str = "",
) -> list[str]:
    """Return output options for an ffmpeg that is fed by `vspipe -c y4m`: encoder, colour tags and HDR10 metadata.

    y4m carries no colour description, so all of it has to be said here. `codec` is "x265" or "svtav1".
    `pixel_format` is FFmpeg's name of what comes in; what the encoder does not take becomes its default.
    Without measured light levels (`max_cll` and `max_fall`, nits) their bound, the peak, is given. Raise
    ValueError for other codecs and transfers.
    """
    encoder = ENCODERS.get(codec)
    if encoder is None or not encoder.parameters:
        raise InputError(f"no ffmpeg arguments are known for the codec {codec!r}; use x265 or svtav1")
    if transfer not in TRANSFER_NAMES:
        raise InputError(f"transfer is {transfer!r}; use pq or hlg")
    if (max_cll is None) != (max_fall is None):
        raise InputError("max_cll and max_fall belong together; give both or neither")
    light = content_light_bound(peak) if max_cll is None else content_light(max_cll, max_fall)
    if pixel_format not in encoder.pixel_formats:  # the nearest that the encoder has
        pixel_format = encoder.pixel_formats[0]
    tags = {
        "color_primaries": "bt2020",
        "color_trc": TRANSFER_NAMES[transfer],
        "colorspace": "bt2020nc",
        "color_range": "tv",
    } | ({"chroma_sample_location": "topleft"} if pixel_format.startswith("yuv420") else {})
    # ffmpeg takes the colours that it writes into the container from the frames, over the options above, and frames
    # out of y4m have none.
    frame_tags = f"color_primaries=bt2020:color_trc={TRANSFER_NAMES[transfer]}:colorspace=bt2020nc:range=limited"
    if pixel_format.startswith("yuv420"):
        frame_tags += ":chroma_location=topleft"
    options = {
        "vf": f"setparams={frame_tags}",
        "c:v": encoder.name,
        "pix_fmt": pixel_format,
        "crf": f"{encoder.crf if crf is None else crf:g}",
        "preset": preset or encoder.preset,
        **tags,
        encoder.parameters: join_parameters(encoder_parameters(codec, transfer, peak, light, pixel_format)),
    }
    return [word for key, value in options.items() for word in (f"-{key}", value)]
