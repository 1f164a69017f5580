"""The options of the tools for training data: the virtual camera, and cleaning."""

from __future__ import annotations

from dataclasses import dataclass

from vshdr.errors import InputError
from vshdr.options.declare import EXPERIMENTAL, check, option
from vshdr.options.train import CONDITIONS

_CODECS = ("none", "h264", "hevc")


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """The options of `vshdr camera`: which pictures it takes, and how."""

    data: str = option("", "folder with .exr or .hdr panoramas and photos; empty for synthetic ones")
    count: int = option(16, "number of pairs, or of clips", low=1)
    frames: int = option(1, "frames of each clip of a moving camera; 1 writes single pairs", low=1, high=10000)
    size: tuple[int, int] = option((640, 360), "width and height in pixels, both even")
    condition: str = option(
        "mixed",
        "how the camera works: everything mixed, or one condition alone",
        choices=CONDITIONS,
    )
    angle: tuple[float, float] = option(
        (40.0, 100.0), "horizontal angle of view in degrees, drawn between these; of panoramas", names=("FROM", "TO")
    )
    clipped: tuple[float, float] = option(
        (0.0, 0.0),
        "share of samples brighter than SDR white, drawn between these; 0 0 for the condition's own",
        names=("FROM", "TO"),
    )
    noise: float | None = option(
        None, "share of pairs or clips with sensor noise; the condition's own if not given", low=0.0, high=1.0
    )
    codec: str = option(
        "", "compress everything with this codec, or nothing; empty for the condition's own", choices=("", *_CODECS)
    )
    crf: int = option(0, "constant rate factor of that compression; 0 for the condition's own", low=0, high=51)
    speed: float = option(
        3.0, "how far the picture moves from one frame of a clip to the next, at most, in pixels", low=0.0, high=1000.0
    )
    seed: int = option(0, "the same seed on the same device gives the same pictures", low=0, high=2**62)
    device: str = option(
        "cpu", f"torch device of panoramas and camera (cuda is {EXPERIMENTAL})", choices=("cpu", "cuda")
    )
    max_width: int = option(4096, "panoramas that are wider are made smaller", low=64)

    def __post_init__(self) -> None:
        check(self)
        if not 1.0 <= self.angle[0] <= self.angle[1] <= 150.0:
            raise InputError(f"angle must be two angles from 1 to 150, the smaller one first, not {list(self.angle)}")
        if not 0.0 <= self.clipped[0] <= self.clipped[1] < 1.0:
            raise InputError(f"clipped must be two shares from 0 to 1, the smaller one first, not {list(self.clipped)}")


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """The options of `vshdr clean`: how outliers among training pictures are found."""

    detector: str = option(
        "elliptic_envelope",
        "method that scores pictures; the envelope needs some 40, isolation_forest 8",
        choices=("isolation_forest", "local_outlier_factor", "elliptic_envelope", "one_class_svm"),
    )
    contamination: float = option(0.05, "share of pictures to report as outliers", low=0.0, high=0.5)
    seed: int = option(0, "of the detectors that draw at random", low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        check(self)
