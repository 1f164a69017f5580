"""What a user may choose in `core.hdr.Expand` alone."""

from __future__ import annotations

from dataclasses import dataclass

from vshdr.options.declare import check, option


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """The arguments of `core.hdr.Expand` besides those of `ExpandOptions`."""

    output: str = option(
        "linear", "linear light, pq (SMPTE ST 2084) or hlg (ARIB STD-B67)", choices=("linear", "pq", "hlg")
    )
    format: int = option(
        0, "VapourSynth format id of the output; 0 is RGBS for linear and YUV420P10 for pq and hlg", low=0
    )
    dither: str = option("ordered", "dither of pq and hlg", choices=("none", "ordered", "random", "error_diffusion"))
    prefetch: int = option(1, "batches that are decoded ahead of the network, 0 to 16", low=0, high=16)
    allow_hdr: int = option(0, "1 takes a clip labelled PQ or HLG for SDR all the same", low=0, high=1)

    def __post_init__(self) -> None:
        check(self)
