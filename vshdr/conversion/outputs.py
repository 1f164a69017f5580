"""What a conversion writes: HDR video, EXR sequences, previews. Each takes expanded frames in order and ends complete
or not at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor

from vshdr.errors import InputError
from vshdr.expand.device_batches import InFlightBatch
from vshdr.expand.expander import Expander
from vshdr.media.content_light import ContentLightMeter
from vshdr.media.delivery import Delivery
from vshdr.media.read.reader import Frame, Source
from vshdr.media.write.exr import ExrWriter
from vshdr.media.write.video import DEFAULT_PIXEL_FORMAT, VideoSettings, VideoWriter
from vshdr.media.zimg import Resizer
from vshdr.options.convert import ConvertOptions
from vshdr.report.preview import write_preview

VIDEO_SUFFIXES = (".mkv", ".mp4", ".mov")


@dataclass(frozen=True)
class Expanded:
    """One frame on its way to the writers."""

    frame: Frame
    sdr: Tensor
    """3 x H x W, code values in [0, 1]."""
    linear: Tensor
    """3 x H x W, 1.0 = SDR white."""


@dataclass(frozen=True)
class Delivered:
    """One frame that was converted on the device."""

    frame: Frame
    planes: list[NDArray]
    """Y, Cb and Cr as the video wants them."""
    light: Tensor
    """For `ContentLightMeter.add_counts`."""
    load: InFlightBatch
    """Whose memory the planes lie in."""


class Output(ABC):
    """One of a conversion's outputs: a context manager that leaves nothing under a final name after an error."""

    name: str
    """What the stage that feeds it is called."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.notes: list[str] = []

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def wants(self, index: int) -> bool:
        """Return False for a frame that this output can do without. Asked once for each, in order, before `write`."""
        return True

    @abstractmethod
    def write(self, expanded: Expanded) -> None:
        """Take the next frame."""

    @abstractmethod
    def finish(self, meter: ContentLightMeter) -> None:
        """Complete the output once all frames are written."""


class VideoOutput(Output):
    """HDR10 or HLG video."""

    def __init__(self, path: Path, clip: Source, expander: Expander, options: ConvertOptions) -> None:
        super().__init__([path])
        self.name = f"encode {path.name}"
        pixel_format = options.pixel_format or DEFAULT_PIXEL_FORMAT[options.codec]
        self.delivery = Delivery(
            output=options.transfer,
            format=_vapoursynth_format(pixel_format),
            dither=options.dither,
            white=expander.options.white,
            peak=expander.options.peak,
        )
        self._writer = VideoWriter(
            path,
            VideoSettings(
                width=clip.width,
                height=clip.height,
                codec=options.codec,
                transfer=options.transfer,
                pixel_format=pixel_format,
                crf=options.crf,
                preset=options.preset,
                encoder_options=_key_values(options.encoder_options),
                time_base=clip.time_base,
                frame_rate=clip.frame_rate,
                sample_aspect_ratio=clip.sample_aspect_ratio,
                white=expander.options.white,
                peak=expander.options.peak,
            ),
            source=clip.video_path,
            overwrite=options.overwrite,
        )
        self._primaries = clip.signal.working_primaries
        self._to_yuv = Resizer(
            int(vs.RGBS),
            clip.width,
            clip.height,
            self.delivery.prepared_properties(clip.signal.working_primaries),
            self.delivery.resize_arguments(),
        )

    def __enter__(self) -> VideoOutput:
        self._writer.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__(*exception)

    def write(self, expanded: Expanded | Delivered) -> None:
        """Take the next frame; one that is delivered already as `delivery` says."""
        if isinstance(expanded, Delivered):
            planes = expanded.planes
        else:
            prepared = self.delivery.prepare(expanded.linear[None], self._primaries)[0]
            planes = self._to_yuv(list(prepared.numpy()))
        self._writer.write(planes, expanded.frame.pts, expanded.frame.duration)

    def finish(self, meter: ContentLightMeter) -> None:
        self._writer.finish(meter.max_cll, meter.max_fall)
        self.notes = self._writer.left_out


class ExrOutput(Output):
    """A sequence of scene-linear EXR frames."""

    def __init__(self, path: Path, clip: Source, expander: Expander, options: ConvertOptions, fingerprint: str) -> None:
        self._writer = ExrWriter(
            path,
            width=clip.width,
            height=clip.height,
            frame_rate=clip.frame_rate,
            start=options.exr_start,
            pixel_type=options.exr_type,
            compression=options.exr_compression,
            white=expander.options.white,
            primaries=clip.signal.working_primaries,
            settings=fingerprint,
            resume=options.resume,
            overwrite=options.overwrite,
            sample_aspect_ratio=clip.sample_aspect_ratio,
            single=clip.frame_count == 1,
        )
        super().__init__([self._writer.path(0)])
        self.name = f"write {path.name}"
        self._missing: set[int] = set()
        self._count = 0

    def __exit__(self, *exception: object) -> None:
        self._writer.close()

    def wants(self, index: int) -> bool:
        self._count = index + 1
        if not self._writer.done(index):
            self._missing.add(index)
        return index in self._missing

    def write(self, expanded: Expanded) -> None:
        index = expanded.frame.index
        if index in self._missing:  # another output may want a frame that this one has
            self._missing.remove(index)
            self._writer.write(index, expanded.linear)

    def finish(self, meter: ContentLightMeter) -> None:
        self._writer.finish()
        left = self._writer.beyond(self._count)
        if left:
            last = f" to {left[-1].name}" if len(left) > 1 else ""
            self.notes.append(f"{left[0].name}{last}: left of a longer run, beyond this clip's last frame")


class PreviewOutput(Output):
    """A few PNGs to look at, spread evenly over the clip."""

    name = "previews"

    def __init__(self, folder: Path, clip: Source, expander: Expander, options: ConvertOptions) -> None:
        super().__init__([folder])
        count = options.preview
        self._clip, self._options = clip, expander.options
        # A source that does not say how long it is gives its previews from the start, one a second.
        total = clip.frame_count or count * max(1, round(clip.frame_rate))
        self._indices = {int((position + 0.5) * total / count) for position in range(count)}
        there = [path for path in map(self._path, sorted(self._indices)) if path.exists()]
        if there and not (options.overwrite or options.resume):
            raise InputError(f"{there[0]} exists already; choose another preview_dir or overwrite it")
        folder.mkdir(parents=True, exist_ok=True)

    def wants(self, index: int) -> bool:
        return index in self._indices

    def write(self, expanded: Expanded) -> None:
        index = expanded.frame.index
        if self.wants(index):
            write_preview(
                self._path(index),
                expanded.sdr,
                expanded.linear,
                white=self._options.white,
                peak=self._options.peak,
                primaries=self._clip.signal.working_primaries,
                title=f"{self._clip.name}, frame {index}",
            )

    def finish(self, meter: ContentLightMeter) -> None:
        return None

    def _path(self, index: int) -> Path:
        return self.paths[0] / f"preview.{index:06d}.png"


def open_output(path: Path, clip: Source, expander: Expander, options: ConvertOptions, fingerprint: str) -> Output:
    """Return the output that the suffix of `path` asks for. Raise InputError for one that is not known, and what
    writers raise.
    """
    if clip.video_path is not None and path.resolve() == clip.video_path.resolve():
        raise InputError(f"{path} is the input; name another output")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: there is no such folder; make it first")
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoOutput(path, clip, expander, options)
    if path.suffix.lower() == ".exr":
        return ExrOutput(path, clip, expander, options, fingerprint)
    raise InputError(f"{path}: outputs end in {', '.join(VIDEO_SUFFIXES)} or .exr")


def _vapoursynth_format(pixel_format: str) -> int:
    """`yuv420p10le` to the id of YUV420P10."""
    name = pixel_format.upper().removesuffix("LE")
    try:
        return int(vs.PresetVideoFormat[name if name.startswith("YUV") else ""])
    except KeyError:
        raise InputError(
            f"pixel_format '{pixel_format}' is not known; try yuv420p10le, yuv422p10le or yuv444p12le"
        ) from None


def _key_values(text: str) -> dict[str, str]:
    """`key=value:key=value` to a dictionary; a key alone means 1, as encoders take it."""
    pairs = [part.partition("=") for part in text.split(":") if part]
    return {key: value or "1" for key, _, value in pairs}
