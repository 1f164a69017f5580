"""What a user may choose, declared once: the plugin, the command line and Python share names, defaults, ranges and
meaning.

Nothing heavy is imported here, so that `vshdr --help` answers at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from dataclasses import dataclass
from typing import Any


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    names: tuple[str, ...] = ("WIDTH", "HEIGHT"),
) -> Any:
    """A dataclass field with its help text and what is allowed: `choices` for words, `low` to `high` for numbers.
    `names` are those of a tuple's parts.
    """
    allowed = {"choices": choices, "low": low, "high": high}
    return dataclasses.field(default=default, metadata={"help": help, "names": names, **allowed})


def check(options: Any) -> None:
    """Raises ValueError with one sentence for the first field of a dataclass of `option`s that is out of its range."""
    for field in dataclasses.fields(options):
        value, allowed = getattr(options, field.name), field.metadata
        if value is None:  # left to the codec, or to whatever else the option is for
            continue
        if allowed.get("choices") and value not in allowed["choices"]:
            words = ", ".join(filter(None, allowed["choices"]))
            raise ValueError(f"{field.name} must be one of {words}, not '{value}'")
        low, high = allowed.get("low"), allowed.get("high")
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            bounds = f"from {low:g} to {high:g}" if None not in (low, high) else f"at least {low:g}"
            raise ValueError(f"{field.name} must be {bounds}, not {value:g}")


def add_arguments(parser: argparse._ActionsContainer, cls: type) -> None:
    """A `--flag` for every field of the dataclass `cls`: `device_index` becomes `--device-index`, booleans are
    switches.
    """
    for field in dataclasses.fields(cls):
        flag = "--" + field.name.replace("_", "-")
        settings: dict[str, Any] = {"help": field.metadata["help"], "default": field.default, "dest": field.name}
        if isinstance(field.default, bool):
            settings["action"] = "store_true"
        elif isinstance(field.default, tuple):
            settings.update(nargs=len(field.default), type=type(field.default[0]), metavar=field.metadata["names"])
        else:
            settings["type"] = float if field.default is None else type(field.default)
            settings["metavar"] = "|".join(field.metadata["choices"]) or field.name.upper()
        parser.add_argument(flag, **settings)


def from_arguments(cls: type, arguments: argparse.Namespace) -> Any:
    """An instance of `cls` with the values that `add_arguments` made argparse collect."""
    values = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(cls)}
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


@dataclass(frozen=True, kw_only=True)
class ExpandOptions:
    """What a user may choose about the expansion. The plugin, the command line and Python share these names and
    defaults.
    """

    gamma: float = option(
        1.0,
        "highlight control: y = f(x^(1/g))^g around the whole model; 1.1 to 1.3 brightens highlights, 0.5 to 2",
        low=0.5,
        high=2.0,
    )
    model: str = option("", "a name of `vshdr models`; empty for the default")
    weights: str = option("", "a weights file or a name of `vshdr weights list`; empty for the model's own")
    white: float = option(
        203.0, "luminance of SDR white in nits, 50 to 1000 (ITU-R BT.2408: 203)", low=50.0, high=1000.0
    )
    peak: float = option(
        1000.0,
        "luminance of the brightest output in nits, white to 10000; brighter light rolls off below it; 0 for no limit",
        low=0.0,
        high=10000.0,
    )
    strength: float = option(
        1.0,
        "share of the gain that is applied, in stops: 0 is the linearised SDR, 1 what the model says, up to 2",
        low=0.0,
        high=2.0,
    )
    smooth: int = option(
        0,
        "temporal smoothing of the gain: frames on either side that a frame's gain is averaged with, within its shot, "
        "0 to 12; 0 is off, 2 takes most of the flicker, more takes a little more and costs more",
        low=0,
        high=12,
    )
    smooth_mode: str = option(
        "gain",
        "gain averages along the motion of the picture; percentile is ExpandNet's smoother, for comparison",
        choices=("gain", "percentile"),
    )
    device: str = option("auto", "auto takes CUDA where there is one", choices=("auto", "cpu", "cuda"))
    device_index: int = option(0, "which CUDA device, from 0", low=0)
    precision: str = option(
        "auto",
        "of networks (gainmap and operators are always fp32); auto takes the best for the model and the device",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    fuse: int = option(
        0,
        "1 has torch.compile fuse a GPU's work on frames that come and go as integer planes: faster, after a minute of "
        "compiling",
        low=0,
        high=1,
    )
    batch: int = option(
        0,
        "frames per call of the network, up to 64; 0 takes 1 on a CPU, where more only costs memory, and 4 on a GPU",
        low=0,
        high=64,
    )
    tile: tuple[int, int] = option(
        (0, 0),
        "width and height of tiles in pixels; 0 takes the model's own choice: whole frames, "
        "or what bounds memory on a CPU",
    )
    overlap: int = option(
        -1, "pixels that tiles see beyond their edge; -1 takes what makes them equal the whole frame", low=-1
    )

    def __post_init__(self) -> None:
        check(self)
        if 0 < self.peak < self.white:
            raise ValueError(f"peak must be at least white ({self.white:g} nits), or 0 for no limit, not {self.peak:g}")
        if len(self.tile) != 2 or min(self.tile) < 0:
            raise ValueError(f"tile must be a width and a height in pixels, not {list(self.tile)}")


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What a user may choose about files. The command line and Python share names and defaults."""

    transfer: str = option(
        "pq", "curve of HDR video: pq is HDR10, hlg needs a peak of at most 1000", choices=("pq", "hlg")
    )
    codec: str = option("x265", "encoder of HDR video", choices=("x265", "svtav1", "prores", "ffv1"))
    crf: float | None = option(
        None, "quality of x265 (default 18) and svtav1 (default 24); smaller is better and larger", low=0.0, high=63.0
    )
    preset: str = option("", "speed of x265 (default medium) and svtav1 (default 6), in the encoder's own words")
    pixel_format: str = option(
        "",
        "FFmpeg's name for the pixels of HDR video, such as yuv420p10le or yuv444p12le; empty for "
        "the codec's usual one",
    )
    encoder_options: str = option("", "more options for the encoder, as key=value:key=value")
    dither: str = option(
        "ordered", "dither of HDR video's integer codes", choices=("none", "ordered", "random", "error_diffusion")
    )
    exr_type: str = option("half", "number format of EXR", choices=("half", "float"))
    exr_compression: str = option(
        "zip",
        "compression of EXR; dwaa and dwab lose a little",
        choices=("none", "rle", "zips", "zip", "piz", "pxr24", "dwaa", "dwab"),
    )
    exr_start: int = option(1001, "number of an EXR sequence's first frame", low=0, high=99_999_999)
    resume: bool = option(False, "keep the EXR frames that an interrupted run finished, after reading each one back")
    overwrite: bool = option(False, "replace outputs that exist")
    preview: int = option(
        0, "number of preview PNGs: SDR, tone-mapped HDR and a map of nits side by side", low=0, high=1000
    )
    preview_dir: str = option("", "folder of the previews; empty for one beside the first output")
    frame_rate: float = option(0.0, "frames per second of an image sequence; 0 for 24", low=0.0, high=1000.0)
    allow_hdr: bool = option(False, "take a clip labelled PQ or HLG for SDR all the same")
    hardware_decode: bool = option(
        False, "decode 4:2:0 video on the GPU, where frames then stay; for video outputs without smooth"
    )
    devices: str = option("", "CUDA devices that share the work, such as 0,1; empty for the one of device_index")

    def __post_init__(self) -> None:
        check(self)
        if not re.fullmatch(r"(\d+(,\d+)*)?", self.devices):
            raise ValueError(f"devices must be numbers with commas between, such as 0,1, not '{self.devices}'")
