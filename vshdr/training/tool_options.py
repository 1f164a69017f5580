"""What a user may choose of the tools around training data: taking pictures with the virtual camera, and
cleaning."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import check, option


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """What the virtual camera writes to disk."""

    data: str = option("", "folder with .exr or .hdr panoramas and photos; empty for synthetic ones")
    count: int = option(16, "number of pairs, or of clips", low=1)
    frames: int = option(1, "frames of each clip of a moving camera; 1 writes single pairs", low=1, high=10000)
    size: tuple[int, int] = option((640, 360), "width and height in pixels, both even")
    condition: str = option(
        "mixed",
        "how the camera works: everything mixed, or one condition alone",
        choices=("mixed", "ideal", "camera", "graded", "broadcast", "still"),
    )
    speed: float = option(
        3.0, "how far the picture moves from one frame of a clip to the next, at most, in pixels", low=0.0
    )
    seed: int = option(0, "the same seed on the same device gives the same pictures", low=0)
    device: str = option("cpu", "torch device of panoramas and camera", choices=("cpu", "cuda"))
    max_width: int = option(4096, "panoramas that are wider are made smaller", low=64)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """How outliers among training pictures are found."""

    detector: str = option(
        "elliptic_envelope",
        "method that scores pictures; the envelope needs some 40, isolation_forest 8",
        choices=("isolation_forest", "local_outlier_factor", "elliptic_envelope", "one_class_svm"),
    )
    contamination: float = option(0.05, "share of pictures to report as outliers", low=0.0, high=0.5)
    seed: int = option(0, "of the detectors that draw at random", low=0)

    def __post_init__(self) -> None:
        check(self)
