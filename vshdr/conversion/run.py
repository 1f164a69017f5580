"""convert(): a file in, HDR video and EXR sequences out. The decoder, the network, the light meter and each output work
in threads of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Unpack

from vshdr.conversion.frame_result import FrameResult, require
from vshdr.conversion.outputs import Output, common_delivery, open_outputs
from vshdr.conversion.resume import fingerprint
from vshdr.conversion.routes import Results, add_device_expansion, add_expansion, add_smoothed_expansion
from vshdr.errors import InputError
from vshdr.expand.device_batches import DeviceBatches
from vshdr.expand.expander import Expander
from vshdr.expand.plane_conversion import plane_conversion, takes_planes
from vshdr.media.content_light import ContentLightMeter
from vshdr.media.read.reader import open_source
from vshdr.media.read.source import Frame, Source
from vshdr.options.convert import ConvertKeywords, ConvertOptions
from vshdr.options.declare import EXPERIMENTAL
from vshdr.options.expand import ExpandOptions
from vshdr.runtime.stages import Channel, Pipeline

_DEPTH = 2  # batches, or frames, that may wait between two stages


@dataclass(frozen=True)
class Progress:
    """How far a running conversion is."""

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
    """Frames that were expanded; a resumed run does not count those that were there."""
    seconds: float
    """From the first frame until all outputs were complete."""
    outputs: tuple[Path, ...]
    """Files written, EXR sequences by the path of their first frame, previews by their folder."""
    notes: tuple[str, ...]
    """What the user should know: streams left out, alpha dropped, rotation applied."""
    light: dict[str, float]
    """Light levels in nits (`ContentLightMeter.summary`)."""
    busy: dict[str, float]
    """Seconds of work per stage."""


def convert(
    source: str | Path,
    *outputs: str | Path,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Unpack[ConvertKeywords],
) -> Summary:
    """Expand a clip to HDR and write it.

    `source` is a video, an image, an image sequence (`%04d`, `####` or a folder) or a .vpy script. Each of `outputs` is
    a video by its suffix (.mkv, .mp4, .mov) or an EXR sequence (`shot.####.exr`); all come from one pass. The options
    are the fields of `ExpandOptions` and `ConvertOptions`. `on_progress` is called a few times a second from the
    calling thread.

    Memory does not grow with the clip's length. Outputs have their final name only once they are complete and checked.

    Raise TypeError for an option that there is not, InputError for input or options that do not fit, OSError for files
    that cannot be read or written, and DeviceError, NotFiniteError, EncodeError or VerificationError for what fails
    later; each says in one sentence what and where.
    """
    expand_options, convert_options = _sort_options(dict(options))
    paths = _check_paths([Path(output) for output in outputs])
    clip = _open_clip(source, convert_options)
    expanders = _open_expanders(expand_options, convert_options, clip)
    # Once, however many outputs ask for it.
    made_once = functools.cache(lambda: fingerprint(clip, expanders[0], convert_options))
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(output)
            for output in open_outputs(paths, clip, expanders[0].options, convert_options, made_once)
        ]
        return _run(clip, expanders, writers, convert_options.hardware_decode, on_progress or (lambda progress: None))


def _sort_options(options: dict[str, Any]) -> tuple[ExpandOptions, ConvertOptions]:
    names = {field.name for field in dataclasses.fields(ExpandOptions)}
    expand_options = ExpandOptions(**{name: value for name, value in options.items() if name in names})
    return expand_options, ConvertOptions(**{name: value for name, value in options.items() if name not in names})


def _check_paths(paths: list[Path]) -> list[Path]:
    if not paths:
        raise InputError("name at least one output: a video (.mkv, .mp4, .mov) or an EXR sequence (shot.####.exr)")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError(f"two outputs have the same name: {', '.join(map(str, paths))}")
    return paths


def _open_clip(source: str | Path, options: ConvertOptions) -> Source:
    rate = Fraction(options.frame_rate).limit_denominator(1001) if options.frame_rate else None
    return open_source(source, frame_rate=rate, allow_hdr=options.allow_hdr)


def _open_expanders(options: ExpandOptions, convert_options: ConvertOptions, clip: Source) -> list[Expander]:
    """Return an expander on each device that shares the work, all with the same batch, fixed for the clip's size."""
    expanders = _expanders(options, convert_options.devices, clip.signal.eotf)
    for expander in expanders:
        expander.choose_batch(clip.width, clip.height)
    _share_batch(expanders)
    if expanders[0].device.type != "cpu":
        clip.note("device", f"device cuda is {EXPERIMENTAL}; compare a few frames with those of device cpu")
    return expanders


def _share_batch(expanders: Sequence[Expander]) -> bool:
    """Lower the batch of all to the smallest of any, so that a frame rounds alike on each device; return whether that
    changed one.
    """
    batches = [expander.batch for expander in expanders]
    for expander in expanders:
        expander.limit_batch(min(batches))
    return len(set(batches)) > 1


def _expanders(options: ExpandOptions, devices: str, eotf: str) -> list[Expander]:
    chosen = dataclasses.asdict(options)
    if not devices:
        return [Expander(**chosen, eotf=eotf)]
    if options.device == "cpu":
        raise InputError(f"devices {devices} are CUDA devices; leave them out with device cpu")
    indices = dict.fromkeys(map(int, devices.split(",")))
    return [Expander(**chosen | {"device": "cuda", "device_index": index}, eotf=eotf) for index in indices]


def _run(
    clip: Source,
    expanders: Sequence[Expander],
    writers: Sequence[Output],
    hardware_decode: bool,
    on_progress: Callable[[Progress], None],
) -> Summary:
    """Take all frames of `clip` through the network and into `writers`."""
    meter = ContentLightMeter(white=expanders[0].options.white, primaries=clip.signal.working_primaries)
    pipeline = Pipeline(_DEPTH)
    frames = 0

    def measure(result: FrameResult) -> None:
        nonlocal frames
        if result.light_counts is not None:
            meter.add_counts(result.light_counts)
        else:
            meter.add(require(result.linear))
        frames += 1

    # Pairs and not a dictionary: two outputs may have the same file name in different folders.
    consumers = [("light", measure), *((writer.name, writer.write) for writer in writers)]
    channels: list[Channel[Results]] = [pipeline.channel() for _ in consumers]
    _add_expansion(pipeline, clip, expanders, writers, meter, hardware_decode, channels)
    for (name, consume), channel in zip(consumers, channels, strict=True):
        pipeline.add(name, channel, _for_each(consume), [])

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


def _add_expansion(
    pipeline: Pipeline,
    clip: Source,
    expanders: Sequence[Expander],
    writers: Sequence[Output],
    meter: ContentLightMeter,
    hardware_decode: bool,
    channels: Sequence[Channel[Results]],
) -> None:
    """Add the stages from the decoder to `channels`, by one of the three routes of `vshdr.conversion.routes`."""

    def wanted(frame: Frame) -> bool:
        return any([writer.wants(frame.index) for writer in writers])  # a list, because each has to be asked

    devices = _device_batches(clip, expanders, writers, meter)
    if devices:
        add_device_expansion(pipeline, _decode(clip, expanders, hardware_decode), devices, wanted, channels)
        return
    if hardware_decode:
        clip.note("hardware", "frames that these outputs need pass through the CPU, so it decoded them, too")
    keep_sdr = any(writer.needs.sdr for writer in writers)
    add_stages = add_smoothed_expansion if expanders[0].options.smooth else add_expansion
    add_stages(pipeline, clip, expanders, wanted, keep_sdr, channels)


def _device_batches(
    clip: Source, expanders: Sequence[Expander], writers: Sequence[Output], meter: ContentLightMeter
) -> list[DeviceBatches]:
    """Return what converts the clip's planes on each device; nothing where a device cannot, or writers need more."""
    delivery = common_delivery(writers)
    if delivery is None or not clip.upright_as_stored or not all(map(takes_planes, expanders)):
        return []
    size = clip.width, clip.height
    conversion = plane_conversion(clip.format_id, size, clip.signal, clip.properties, delivery)
    if conversion is None:
        return []
    while True:
        devices = [DeviceBatches.largest(expander, conversion, meter) for expander in expanders]
        changed = _share_batch(expanders)
        if None in devices:
            return []
        if not changed:
            return [device for device in devices if device is not None]
        devices.clear()  # and their memory with them, before smaller ones are made


def _decode(clip: Source, expanders: Sequence[Expander], hardware_decode: bool) -> Iterable[Frame]:
    """Return the frames of a clip, from the GPU's own decoder where that is wanted and takes them."""
    if not hardware_decode:
        return clip
    frames = clip.on_device(expanders[0].device) if len(expanders) == 1 else None
    if frames is None:
        clip.note("hardware", "the GPU's decoder does not take this clip; it was decoded on the CPU")
        return clip
    return frames


def _for_each(consume: Callable[[FrameResult], None]) -> Callable[[Results], None]:
    def consume_all(results: Results) -> None:
        for result in results:
            consume(result)

    return consume_all
