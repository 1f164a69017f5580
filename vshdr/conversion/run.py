"""convert(): a file in, HDR video and EXR sequences out. Reader, Expander, light meter and writers, each in its own
thread.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vshdr import __version__
from vshdr.conversion.frames import add_device_expansion, add_expansion
from vshdr.conversion.outputs import Delivered, Expanded, Output, PreviewOutput, VideoOutput, open_output
from vshdr.errors import InputError
from vshdr.expand.device_batches import DeviceBatches, plane_conversion, takes_planes
from vshdr.expand.expander import Expander
from vshdr.media.content_light import ContentLightMeter
from vshdr.media.read.image_source import ImageSource
from vshdr.media.read.reader import Frame, Source, open_source
from vshdr.media.read.source import Orientation
from vshdr.media.read.video_source import VideoSource
from vshdr.media.sequence import NumberedName
from vshdr.options.convert import ConvertOptions
from vshdr.options.expand import ExpandOptions
from vshdr.runtime.stages import Pipeline

_DIGEST_BYTES = 1 << 20  # read from either end of a source to recognise it


@dataclass(frozen=True)
class Progress:
    """Where a running conversion stands."""

    done: int
    """Frames that have left the network."""
    total: int | None
    """Frames in all, as far as the source says."""
    seconds: float
    """Since the first frame was asked for."""
    limiting: str
    """The stage that has worked longest: what to make faster first."""


@dataclass(frozen=True)
class Summary:
    """What a conversion did."""

    frames: int
    seconds: float
    outputs: tuple[Path, ...]
    """Files written, EXR sequences by the path of their first frame, previews by their folder."""
    notes: tuple[str, ...]
    """What the user should know: streams left out, alpha dropped, rotation applied."""
    light: dict[str, float]
    """Light levels in nits (`ContentLightMeter.summary`)."""
    busy: dict[str, float]
    """Seconds of work per stage."""


def convert(
    source: str | Path, *outputs: str | Path, on_progress: Callable[[Progress], None] | None = None, **options
) -> Summary:
    """Expand a clip to HDR and writes it.

    `source` is a video, an image, an image sequence (`%04d`, `####` or a folder) or a .vpy script. Each of `outputs` is
    a video by its suffix (.mkv, .mp4, .mov) or an EXR sequence (`shot.####.exr`); all come from one pass. The options
    are the fields of `ExpandOptions` and `ConvertOptions`. `on_progress` is called a few times a second from the
    calling thread.

    Memory does not grow with the clip's length. Outputs have their final name only once they are complete and checked.

    Raise InputError for input or options that do not fit, OSError for files that cannot be read or written,
    DeviceError, NotFiniteError, EncodeError or VerificationError for what fails on the way; each says in one sentence
    what and where.
    """
    expand_names = {field.name for field in dataclasses.fields(ExpandOptions)}
    expand_options = ExpandOptions(**{name: value for name, value in options.items() if name in expand_names})
    convert_options = ConvertOptions(**{name: value for name, value in options.items() if name not in expand_names})
    paths = _distinct([Path(output) for output in outputs])
    clip = _open(source, convert_options)
    expanders = _expanders(expand_options, convert_options, clip.signal.eotf)
    expander = expanders[0]
    fingerprint = _fingerprint(Path(source), clip, expander, convert_options)
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(open_output(path, clip, expander, convert_options, fingerprint)) for path in paths
        ]
        if convert_options.preview:
            writers.append(PreviewOutput(_preview_folder(paths, convert_options), clip, expander, convert_options))
        return _run(clip, expanders, writers, convert_options.hardware_decode, on_progress or (lambda progress: None))


def _expanders(options: ExpandOptions, convert_options: ConvertOptions, eotf: str) -> list[Expander]:
    """Return one on every device that shares the work."""
    chosen = dataclasses.asdict(options)
    if not convert_options.devices:
        return [Expander(**chosen, eotf=eotf)]
    if options.device == "cpu":
        raise InputError(f"devices {convert_options.devices} are CUDA devices; leave them out with device cpu")
    chosen["device"] = "cuda"
    indices = dict.fromkeys(map(int, convert_options.devices.split(",")))
    return [Expander(**chosen | {"device_index": index}, eotf=eotf) for index in indices]


def _open(source: str | Path, options: ConvertOptions) -> Source:
    rate = Fraction(options.frame_rate).limit_denominator(1001) if options.frame_rate else None
    return open_source(source, frame_rate=rate, allow_hdr=options.allow_hdr)


def _distinct(paths: list[Path]) -> list[Path]:
    if not paths:
        raise InputError("name at least one output: a video (.mkv, .mp4, .mov) or an EXR sequence (shot.####.exr)")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError(f"two outputs have the same name: {', '.join(map(str, paths))}")
    return paths


def _preview_folder(paths: list[Path], options: ConvertOptions) -> Path:
    numbered = NumberedName.parse(paths[0])
    name = numbered.before.rstrip("._-") if numbered else paths[0].stem
    return Path(options.preview_dir or paths[0].with_name(f"{name}_previews"))


def _fingerprint(source: Path, clip: Source, expander: Expander, options: ConvertOptions) -> str:
    """Return all that decides the pixels of an EXR frame, as JSON: `--resume` keeps only frames made with the same."""
    choices = dataclasses.asdict(expander.options)
    choices |= {"model": expander.description.name, "precision": expander.precision}
    for name in ("device", "device_index", "batch"):
        del choices[name]
    return json.dumps(
        {
            "vshdr": __version__,
            "source": clip.name,
            "source_digest": _sequence_digest(clip.paths) if isinstance(clip, ImageSource) else _digest(source),
            "weights_digest": _digest(Path(expander.options.weights)),
            **choices,
            "exr_type": options.exr_type,
            "exr_compression": options.exr_compression,
            "exr_start": options.exr_start,
        },
        sort_keys=True,
    )


def _digest(path: Path) -> str:
    """Return what tells a file from another one of the same name (an edited script, a new cut), at no cost for long
    clips: its size and its ends. Empty for what is no file: weights that go by a name.
    """
    if not path.is_file():
        return ""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        for start in (0, max(_DIGEST_BYTES, size - _DIGEST_BYTES)):
            file.seek(start)
            digest.update(file.read(_DIGEST_BYTES))
    return f"{size}:{digest.hexdigest()[:16]}"


def _sequence_digest(paths: Sequence[Path]) -> str:
    """Likewise for images, which are too many to be read twice: their names, sizes and times."""
    status = [(path.name, path.stat()) for path in paths]
    names = "\n".join(f"{name} {told.st_size} {told.st_mtime_ns}" for name, told in status)
    return f"{len(paths)}:{hashlib.sha256(names.encode(errors='surrogateescape')).hexdigest()[:16]}"


def _run(
    clip: Source,
    expanders: list[Expander],
    writers: list[Output],
    hardware: bool,
    on_progress: Callable[[Progress], None],
) -> Summary:
    meter = ContentLightMeter(white=expanders[0].options.white, primaries=clip.signal.working_primaries)
    pipeline = Pipeline(depth=2)
    frames = 0

    def measure(expanded: Expanded | Delivered) -> None:
        nonlocal frames
        if isinstance(expanded, Delivered):
            meter.add_counts(expanded.light)
        else:
            meter.add(expanded.linear)
        frames += 1

    def wanted(frame: Frame) -> bool:
        return any([writer.wants(frame.index) for writer in writers])  # a list: each has to be asked

    # Pairs and not a dictionary: two outputs may have the same file name in different folders.
    taps = [("light", measure), *((w.name, w.write) for w in writers)]
    channels = [pipeline.channel() for _ in taps]
    device_batches = _device_batches(clip, expanders, writers, meter)
    if device_batches:
        add_device_expansion(pipeline, _decoded(clip, expanders, hardware), device_batches, wanted, channels)
    else:
        if hardware:
            clip.note("hardware", "frames that these outputs need pass through the CPU, so it decoded them, too")
        for expander in expanders:
            expander.choose_batch(clip.width, clip.height)
        add_expansion(pipeline, clip, expanders, wanted, channels)
    for (name, work), channel in zip(taps, channels, strict=True):
        pipeline.add(name, channel, _each(work), [])

    start = time.perf_counter()
    pipeline.run(
        lambda: on_progress(Progress(frames, clip.frame_count, time.perf_counter() - start, pipeline.limiting_stage()))
    )
    for writer in writers:
        writer.finish(meter)
    return Summary(
        frames,
        time.perf_counter() - start,
        tuple(path for writer in writers for path in writer.paths),
        (*clip.notes, *(note for writer in writers for note in writer.notes)),
        meter.summary(),
        {stage.name: stage.busy for stage in pipeline.stages},
    )


def _device_batches(
    clip: Source, expanders: list[Expander], writers: list[Output], meter: ContentLightMeter
) -> list[DeviceBatches] | None:
    """Return what carries the clip to GPUs and back as planes, where that is all that the writers need."""
    if not all(map(takes_planes, expanders)) or not all(isinstance(writer, VideoOutput) for writer in writers):
        return None
    deliveries = {writer.delivery for writer in writers}
    turned_or_cropped = clip.orientation != Orientation() or (clip.coded_width, clip.coded_height) != (
        clip.width,
        clip.height,
    )
    if len(deliveries) != 1 or turned_or_cropped:
        return None
    way = plane_conversion(clip.format_id, (clip.width, clip.height), clip.signal, clip.properties, deliveries.pop())
    device_batches = [DeviceBatches.largest(expander, way, meter) for expander in expanders] if way else [None]
    return None if None in device_batches else device_batches


def _decoded(clip: Source, expanders: list[Expander], hardware: bool) -> Iterable[Frame]:
    """Return the frames of a clip, from the GPU's own decoder where that is wanted and takes them."""
    if not hardware:
        return clip
    frames = clip.on_device(expanders[0].device) if isinstance(clip, VideoSource) and len(expanders) == 1 else None
    if frames is None:
        clip.note("hardware", "the GPU's decoder does not take this clip; it was decoded on the CPU")
    return clip if frames is None else frames


def _each(work: Callable[[Expanded], None]) -> Callable[[list[Expanded]], None]:
    def work_on_all(batch: list[Expanded]) -> None:
        for expanded in batch:
            work(expanded)

    return work_on_all
