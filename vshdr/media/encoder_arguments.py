"""How each encoder, and ffmpeg itself, wants to be told the colour description and HDR10's metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vshdr.colour.h273 import HDR_TRANSFERS, ChromaLocation
from vshdr.errors import InputError
from vshdr.media.metadata import (
    ContentLight,
    MasteringDisplay,
    content_light,
    mastering_display,
    provisional_content_light,
)
from vshdr.media.video_codecs import ENCODERS

# FFmpeg's and x265's names of the two HDR transfers.
_TRANSFER_NAMES = {"pq": "smpte2084", "hlg": "arib-std-b67"}


def x265_mastering(display: MasteringDisplay) -> str:
    """Return x265's `master-display`: xy in units of 0.00002, luminances in units of 0.0001 nits (HEVC D.3.28)."""
    return _mastering(display, lambda xy: str(round(xy * 50000)), lambda nits: str(round(nits * 10000)))


def svtav1_mastering(display: MasteringDisplay) -> str:
    """Return SVT-AV1's `mastering-display`: the same layout in plain numbers."""
    return _mastering(display, lambda xy: f"{xy:.5f}", lambda nits: f"{nits:.4f}")


def _mastering(display: MasteringDisplay, xy: Callable[[float], str], nits: Callable[[float], str]) -> str:
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

    For "x265" these are x265's own (`x265-params`), for "svtav1" SVT-AV1's (`svtav1-params`). Other codecs have none:
    with them only the container describes the picture. `transfer` is "pq" or "hlg"; `light` defaults to
    `provisional_content_light(peak)`. HLG is relative to the display that shows it, so it carries neither a mastering
    display nor light levels.
    """
    light = light or provisional_content_light(peak)
    sited = pixel_format.startswith("yuv420")  # HEVC can say where chroma lies for 4:2:0 only
    if codec == "x265":
        parameters = {
            "repeat-headers": "1",
            "colorprim": "bt2020",
            "transfer": _TRANSFER_NAMES[transfer],
            "colormatrix": "bt2020nc",
            "range": "limited",
        }
        if sited:
            parameters["chromaloc"] = str(ChromaLocation.TOP_LEFT)
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
            "transfer-characteristics": str(HDR_TRANSFERS[transfer]),
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
    """Return `key=value:key=value`, the syntax of `-x265-params` and `-svtav1-params`."""
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

    y4m carries no colour description, so all of it has to be said here. `codec` is "x265" or "svtav1", `transfer` "pq"
    or "hlg". `pixel_format` is FFmpeg's name of what comes in; one that the encoder does not take becomes its default.
    Without measured light levels (`max_cll` and `max_fall`, nits) their bound, the peak, is given. Raise InputError
    for other codecs and transfers, and for light levels that no picture has.
    """
    encoder = ENCODERS.get(codec)
    if encoder is None or not encoder.parameters:
        raise InputError(f"no ffmpeg arguments are known for the codec {codec!r}; use x265 or svtav1")
    if transfer not in HDR_TRANSFERS:
        raise InputError(f"transfer is {transfer!r}; use pq or hlg")
    if max_cll is not None and max_fall is not None:
        light = content_light(max_cll, max_fall)
    elif max_cll is None and max_fall is None:
        light = provisional_content_light(peak)
    else:
        raise InputError("max_cll and max_fall belong together; give both or neither")
    if pixel_format not in encoder.pixel_formats:
        pixel_format = encoder.pixel_formats[0]
    tags = {
        "color_primaries": "bt2020",
        "color_trc": _TRANSFER_NAMES[transfer],
        "colorspace": "bt2020nc",
        "color_range": "tv",
    } | ({"chroma_sample_location": "topleft"} if pixel_format.startswith("yuv420") else {})
    # ffmpeg writes the colours of the frames into the container, even where the options above say otherwise, and
    # frames out of y4m have none: setparams gives them some.
    frame_tags = f"color_primaries=bt2020:color_trc={_TRANSFER_NAMES[transfer]}:colorspace=bt2020nc:range=limited"
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
