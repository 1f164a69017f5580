"""What a conversion writes: HDR video, EXR sequences, previews. Each takes frames in order, and is complete in the end
or not there at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import vapoursynth as vs

from vshdr.conversion.frame_result import FrameResult, require
from vshdr.errors import InputError
from vshdr.media.content_light import ContentLightMeter
from vshdr.media.delivery import Delivery
from vshdr.media.numbered_name import NumberedName
from vshdr.media.read.source import Source
from vshdr.media.video_codecs import CONTAINERS, DEFAULT_PIXEL_FORMAT
from vshdr.media.write.encoders import VideoSettings
from vshdr.media.write.exr import ExrWriter
from vshdr.media.write.video import VideoWriter
from vshdr.media.zimg import Resizer
from vshdr.options.convert import ConvertOptions
from vshdr.options.expand import ExpandOptions
from vshdr.report.preview import write_preview


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What an output takes of each frame."""

    sdr: bool = False
    """`FrameResult.sdr`."""
    linear: bool = False
    """`FrameResult.linear`."""
    delivery: Delivery | None = None
    """The format of `FrameResult.planes`. Where no device has made them, the output makes them from `linear` itself."""


class Output(ABC):
    """One of a conversion's outputs: a context manager that leaves nothing incomplete under a final name."""

    name: str
    """What the stage that feeds it is called."""
    needs: Needs
    """What it takes of each frame."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths: list[Path] = paths
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def wants(self, index: int) -> bool:
        """Return False for a frame that this output can do without. Asked once for each, in order, before `write`."""
        return True

    @abstractmethod
    def write(self, result: FrameResult) -> None:
        """Take the next frame, with what the output needs of it."""

    @abstractmethod
    def finish(self, meter: ContentLightMeter) -> None:
        """Complete the output once all frames are written."""


class VideoOutput(Output):
    """HDR10 or HLG video."""

    def __init__(self, path: Path, clip: Source, expansion: ExpandOptions, options: ConvertOptions) -> None:
        super().__init__([path])
        self.name: str = f"encode {path.name}"
        pixel_format = options.pixel_format or DEFAULT_PIXEL_FORMAT[options.codec]
        self._delivery = Delivery(
            output=options.transfer,
            format=_vapoursynth_format(pixel_format),
            dither=options.dither,
            white=expansion.white,
            peak=expansion.peak,
        )
        self.needs: Needs = Needs(delivery=self._delivery)
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
                white=expansion.white,
                peak=expansion.peak,
            ),
            source=clip.video_path,
            overwrite=options.overwrite,
        )
        self._primaries = clip.signal.working_primaries
        self._to_yuv = Resizer(
            int(vs.RGBS),
            clip.width,
            clip.height,
            self._delivery.prepared_properties(clip.signal.working_primaries),
            self._delivery.resize_arguments(),
        )

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def write(self, result: FrameResult) -> None:
        planes = result.planes
        if planes is None:
            prepared = self._delivery.prepare(require(result.linear)[None], self._primaries)[0]
            planes = self._to_yuv(list(prepared.numpy()))
        self._writer.write(planes, result.frame.pts, result.frame.duration)

    def finish(self, meter: ContentLightMeter) -> None:
        self._writer.finish(meter.max_cll, meter.max_fall)
        self.notes: list[str] = self._writer.left_out


class ExrOutput(Output):
    """A sequence of scene-linear EXR frames."""

    needs: Needs = Needs(linear=True)

    def __init__(
        self, path: Path, clip: Source, expansion: ExpandOptions, options: ConvertOptions, fingerprint: str
    ) -> None:
        """`fingerprint` is what resumed frames must agree in."""
        self._writer = ExrWriter(
            path,
            width=clip.width,
            height=clip.height,
            frame_rate=clip.frame_rate,
            start=options.exr_start,
            pixel_type=options.exr_type,
            compression=options.exr_compression,
            white=expansion.white,
            primaries=clip.signal.working_primaries,
            settings=fingerprint,
            resume=options.resume,
            overwrite=options.overwrite,
            sample_aspect_ratio=clip.sample_aspect_ratio,
            single=clip.frame_count == 1,
        )
        super().__init__([self._writer.path(0)])
        self.name: str = f"write {path.name}"
        self._missing: set[int] = set()
        self._count = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def wants(self, index: int) -> bool:
        self._count = index + 1
        if not self._writer.done(index):
            self._missing.add(index)
        return index in self._missing

    def write(self, result: FrameResult) -> None:
        index = result.frame.index
        if index in self._missing:  # another output may want a frame that this one has
            self._missing.remove(index)
            self._writer.write(index, require(result.linear))

    def finish(self, meter: ContentLightMeter) -> None:
        self._writer.finish()
        left = self._writer.beyond(self._count)
        if left:
            last = f" to {left[-1].name}" if len(left) > 1 else ""
            self.notes.append(f"{left[0].name}{last}: left of a longer run, beyond this clip's last frame")


class PreviewOutput(Output):
    """A few PNGs to look at, spread evenly over the clip."""

    name: str = "previews"
    needs: Needs = Needs(sdr=True, linear=True)

    def __init__(self, folder: Path, clip: Source, expansion: ExpandOptions, options: ConvertOptions) -> None:
        """Make `folder`. Raise InputError where previews are there already and are not to be replaced, OSError where it
        cannot be made.
        """
        super().__init__([folder])
        count = options.preview
        self._clip, self._expansion = clip, expansion
        # A source that does not say how long it is gets its previews from the start, one a second.
        total = clip.frame_count or count * max(1, round(clip.frame_rate))
        self._indices = {int((position + 0.5) * total / count) for position in range(count)}
        there = [path for path in map(self._path, sorted(self._indices)) if path.exists()]
        if there and not (options.overwrite or options.resume):
            raise InputError(f"{there[0]} exists already; choose another preview_dir or overwrite it")
        folder.mkdir(parents=True, exist_ok=True)

    def wants(self, index: int) -> bool:
        return index in self._indices

    def write(self, result: FrameResult) -> None:
        index = result.frame.index
        if self.wants(index):
            write_preview(
                self._path(index),
                require(result.sdr),
                require(result.linear),
                white=self._expansion.white,
                peak=self._expansion.peak,
                primaries=self._clip.signal.working_primaries,
                title=f"{self._clip.name}, frame {index}",
            )

    def finish(self, meter: ContentLightMeter) -> None:
        return None

    def _path(self, index: int) -> Path:
        return self.paths[0] / f"preview.{index:06d}.png"


def open_outputs(
    paths: Sequence[Path],
    clip: Source,
    expansion: ExpandOptions,
    options: ConvertOptions,
    fingerprint: Callable[[], str],
) -> Iterator[Output]:
    """Yield the outputs that the suffixes of `paths` ask for, then the previews if `options` ask for them.

    `fingerprint` makes what resumed frames must agree in; it reads whole files of weights, so only outputs that can
    resume call it. Each output is opened only when it is asked for, so that those before it can be entered, and are
    closed, if it fails. Raise InputError for a suffix that is not known, for an output that is the input or has no
    folder, and where previews exist already; and what writers raise.
    """
    for path in paths:
        if clip.video_path is not None and path.resolve() == clip.video_path.resolve():
            raise InputError(f"{path} is the input; name another output")
        if not path.parent.is_dir():
            raise InputError(f"{path.parent}: there is no such folder; make it first")
        if path.suffix.lower() in CONTAINERS:
            yield VideoOutput(path, clip, expansion, options)
        elif path.suffix.lower() == ".exr":
            yield ExrOutput(path, clip, expansion, options, fingerprint())
        else:
            raise InputError(f"{path}: outputs end in {', '.join(CONTAINERS)} or .exr")
    if options.preview:
        yield PreviewOutput(_preview_folder(paths[0], options), clip, expansion, options)


def common_delivery(outputs: Sequence[Output]) -> Delivery | None:
    """Return the delivery whose planes are all that any of `outputs` needs; None where there is no such one."""
    needs = [output.needs for output in outputs]
    deliveries = {need.delivery for need in needs}
    if len(deliveries) != 1 or any(need.sdr or need.linear for need in needs):
        return None
    return deliveries.pop()


def _preview_folder(first_output: Path, options: ConvertOptions) -> Path:
    numbered = NumberedName.parse(first_output)
    name = numbered.before.rstrip("._-") if numbered else first_output.stem
    return Path(options.preview_dir or first_output.with_name(f"{name}_previews"))


def _vapoursynth_format(pixel_format: str) -> int:
    """Return the id of VapourSynth's format of FFmpeg's name: YUV420P10 for `yuv420p10le`."""
    name = pixel_format.upper().removesuffix("LE")
    try:
        return int(vs.PresetVideoFormat[name if name.startswith("YUV") else ""])
    except KeyError:
        raise InputError(
            f"pixel_format '{pixel_format}' is not known; try yuv420p10le, yuv422p10le or yuv444p12le"
        ) from None


def _key_values(text: str) -> dict[str, str]:
    """Return `key=value:key=value` as a dictionary; a key alone means 1, as in the encoders' own command lines."""
    pairs = [part.partition("=") for part in text.split(":") if part]
    return {key: value or "1" for key, _, value in pairs}
