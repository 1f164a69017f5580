"""Which frames can be converted wholly on a device: from the integer planes of a decoder to those of an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import vapoursynth as vs

from vshdr.colour.h273 import ChromaLocation, Matrix, Primaries
from vshdr.colour.ycbcr import LUMA_WEIGHTS, PlaneFormat
from vshdr.expand.expander import Expander
from vshdr.media.delivery import Delivery
from vshdr.media.signal import Signal

PLANE_DEVICES = {"cuda"}
"""Kinds of device that are sent integer planes instead of float RGB. On a CPU, zimg is faster."""


@dataclass(frozen=True, kw_only=True)
class PlaneConversion:
    """From a clip's planes to those of its delivery."""

    source: PlaneFormat
    """What a decoder gives."""
    delivered: PlaneFormat
    """What an encoder takes."""
    transfer: str
    """Of what is delivered: pq or hlg."""
    primaries: Primaries
    """BT.709 or BT.2020: of the RGB that the network sees."""
    dither: bool
    """Whether the delivered codes get ordered dither."""


def takes_planes(expander: Expander) -> bool:
    """Return whether the expander's frames may be sent and returned as planes.

    With smoothing they may not, because a frame's result then needs the light of its neighbours.
    """
    return expander.device.type in PLANE_DEVICES and not expander.options.smooth


def plane_conversion(
    format_id: int, size: tuple[int, int], signal: Signal, properties: Mapping[str, Any], delivery: Delivery
) -> PlaneConversion | None:
    """Return how frames of VapourSynth's format `format_id` become those of `delivery` on a device.

    `size` is their width and height, and `properties` are the first frame's. Return None for what only zimg converts:
    gamuts that the network does not work in, float samples, grey, fields, linear output, and random or error-diffusion
    dither.
    """
    source, delivered = (vs.core.get_video_format(number) for number in (format_id, delivery.format_id))
    width, height = size
    location = properties.get("_ChromaLocation", ChromaLocation.LEFT)
    has_matrix = signal.matrix in LUMA_WEIGHTS if source.color_family == vs.YUV else source.color_family == vs.RGB
    convertible = (
        source.sample_type == vs.INTEGER
        and has_matrix
        and max(source.subsampling_w, source.subsampling_h) <= 1
        and signal.primaries == signal.working_primaries
        and location in ChromaLocation
        and not properties.get("_FieldBased", 0)
    )
    if not convertible or delivery.output not in ("pq", "hlg") or delivery.dither not in ("none", "ordered"):
        return None
    return PlaneConversion(
        source=PlaneFormat(
            width=width,
            height=height,
            bits=source.bits_per_sample,
            matrix=Matrix(signal.matrix),
            full_range=signal.full_range,
            subsampling=(source.subsampling_w, source.subsampling_h),
            chroma_location=ChromaLocation(location),
        ),
        delivered=PlaneFormat(
            width=width,
            height=height,
            bits=delivered.bits_per_sample,
            matrix=Matrix.BT2020_NCL,
            full_range=False,
            subsampling=(delivered.subsampling_w, delivered.subsampling_h),
            chroma_location=ChromaLocation.TOP_LEFT,
        ),
        transfer=delivery.output,
        primaries=signal.working_primaries,
        dither=delivery.dither == "ordered",
    )
