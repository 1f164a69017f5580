"""The stages between a source and the outputs of a conversion: decoding, the network, and smoothing.

Frames take one of three routes: float RGB through the network (`add_expansion`); the same with the gain averaged over
neighbouring frames (`add_smoothed_expansion`); or, where a GPU can do all of the work, integer planes to integer planes
(`add_device_expansion`).
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

from vshdr.conversion.frame_result import FrameResult, require
from vshdr.errors import VshdrError
from vshdr.expand.device_batches import DeviceBatches
from vshdr.expand.expander import Expander
from vshdr.media.read.reader import SdrConverter, read_sdr
from vshdr.media.read.source import Frame, Source
from vshdr.runtime.memory import Pool
from vshdr.runtime.stages import Channel, Pipeline
from vshdr.temporal.gain_frames import GainFrame
from vshdr.temporal.shots import with_boundaries
from vshdr.temporal.signature import signature
from vshdr.temporal.windows import windows

type Wanted = Callable[[Frame], bool]
"""Says whether any output takes a frame. Called once for each frame, in order."""

type Results = list[FrameResult]
"""What has been made of one batch, in order."""


def add_expansion(
    pipeline: Pipeline,
    clip: Source,
    expanders: Sequence[Expander],
    wanted: Wanted,
    keep_sdr: bool,
    outputs: Sequence[Channel[Results]],
) -> None:
    """Add the stages that decode `clip` and expand it frame by frame. Each of `outputs` gets all results, with
    `linear`, and with `sdr` if `keep_sdr`.

    `expanders` differ in their devices only, and take batches in turn. Frames that are not `wanted` are left out.
    """
    to_sdr = SdrConverter(clip)
    frames = (FrameResult(frame=frame, sdr=to_sdr(frame)) for frame in clip if wanted(frame))
    decoded: Channel[FrameResult] = pipeline.channel()
    pipeline.add("decode", frames, _unchanged, [decoded], produces=True)
    networks = [partial(_expand, expander, Pool(), keep_sdr) for expander in expanders]
    pipeline.add_parallel("network", itertools.batched(decoded, expanders[0].batch), networks, outputs)


def add_smoothed_expansion(
    pipeline: Pipeline,
    clip: Source,
    expanders: Sequence[Expander],
    wanted: Wanted,
    keep_sdr: bool,
    outputs: Sequence[Channel[Results]],
) -> None:
    """As `add_expansion`, with the gain smoothed over each frame's neighbours, on the first expander's device. Frames
    that are not `wanted` go through the network only where a neighbour needs them.
    """
    smoother = expanders[0]
    radius = smoother.options.smooth
    decoded: Channel[FrameResult] = pipeline.channel()
    frames = _drop_unneeded(_with_shots(clip, wanted), radius)
    pipeline.add("decode", frames, _unchanged, [decoded], produces=True)
    with_gain: Channel[Results] = pipeline.channel()
    networks = [partial(_add_gain, expander, smoother) for expander in expanders]
    pipeline.add_parallel("network", itertools.batched(decoded, smoother.batch), networks, [with_gain])
    neighbourhoods = windows(itertools.chain.from_iterable(with_gain), radius, radius)
    pipeline.add("smooth", neighbourhoods, lambda item: _smooth(smoother, keep_sdr, *item), outputs)


def add_device_expansion(
    pipeline: Pipeline,
    frames: Iterable[Frame],
    devices: Sequence[DeviceBatches],
    wanted: Wanted,
    outputs: Sequence[Channel[Results]],
) -> None:
    """Add the stages that decode a clip and convert it on `devices`, which take batches in turn. Each of `outputs` gets
    all results, with `planes` and `light_counts`. Frames that are not `wanted` are left out.
    """
    decoded: Channel[FrameResult] = pipeline.channel()
    sent: Channel[Results] = pipeline.channel()
    turns = itertools.cycle(devices)

    def send(batch: tuple[FrameResult, ...]) -> Results:
        with _frame_numbers_in_errors(batch):
            in_flight = next(turns).send([result.frame.planes for result in batch], pipeline.stopped)
        return [replace(result, in_flight=in_flight) for result in batch]

    largest_batch = min(device.batch for device in devices)
    results = (FrameResult(frame=frame) for frame in frames if wanted(frame))
    pipeline.add("decode", results, _unchanged, [decoded], produces=True)
    pipeline.add("send", itertools.batched(decoded, largest_batch), send, [sent])
    pipeline.add("network", sent, _receive, outputs)


def _unchanged[T](item: T) -> T:
    return item


def _expand(expander: Expander, pool: Pool, keep_sdr: bool, batch: tuple[FrameResult, ...]) -> Results:
    sdr = [require(result.sdr) for result in batch]
    frames = sdr[0][None] if len(sdr) == 1 else torch.stack(sdr)
    with _frame_numbers_in_errors(batch):
        linear = expander.expand(frames, pool.empty(frames.shape))
    return [
        replace(result, linear=light, sdr=result.sdr if keep_sdr else None)
        for result, light in zip(batch, linear, strict=True)
    ]


def _receive(batch: Results) -> Results:
    """Wait for a batch that was sent to a device."""
    with _frame_numbers_in_errors(batch):
        received = require(batch[0].in_flight).frames()
    return [
        replace(result, planes=planes, light_counts=counts)
        for result, (planes, counts) in zip(batch, received, strict=True)
    ]


def _with_shots(clip: Source, wanted: Wanted) -> Iterator[FrameResult]:
    """Yield each frame with its signature and whether a shot begins with it."""
    frames = (
        (FrameResult(frame=frame, sdr=sdr, wanted=wanted(frame)), signature(sdr, frame.scene_change))
        for frame, sdr in read_sdr(clip)
    )
    for result, frame_signature, starts_shot in with_boundaries(frames):
        yield replace(result, signature=frame_signature, starts_shot=starts_shot)


def _drop_unneeded(results: Iterable[FrameResult], radius: int) -> Iterator[FrameResult]:
    """Yield each result, `radius` frames late, without `sdr` where no frame within `radius` of it is wanted: such a
    frame need not go through the network.
    """
    waiting: deque[FrameResult] = deque()
    last_wanted = -radius - 1
    due = 0

    def next_due() -> FrameResult:
        result = waiting.popleft()
        return result if last_wanted >= due - radius else replace(result, sdr=None)

    for number, result in enumerate(results):
        waiting.append(result)
        if result.wanted:
            last_wanted = number
        if len(waiting) > radius:
            yield next_due()
            due += 1
    while waiting:
        yield next_due()
        due += 1


def _add_gain(expander: Expander, smoother: Expander, batch: tuple[FrameResult, ...]) -> Results:
    """Return the batch with the gain that `expander` finds, in the memory of `smoother`'s device; `sdr` is dropped."""
    gain_frames: dict[int, GainFrame] = {}
    needed = [result for result in batch if result.sdr is not None]
    if needed:
        with _frame_numbers_in_errors(needed):
            sdr = torch.stack([require(result.sdr) for result in needed]).to(expander.device)
            gains = expander.gain(sdr)
        for result, code, gain in zip(needed, sdr, gains, strict=True):
            frame_signature = require(result.signature)
            gain_frames[result.frame.index] = smoother.gain_frame(code, gain, frame_signature, result.starts_shot)
    return [replace(result, sdr=None, gain_frame=gain_frames.get(result.frame.index)) for result in batch]


def _smooth(expander: Expander, keep_sdr: bool, number: int, window: Mapping[int, FrameResult]) -> Results:
    """Return frame `number` with light whose gain is smoothed over `window`; nothing where it is not wanted."""
    here = window[number]
    if not here.wanted:
        return []
    # All frames of the window are within the radius of one that is wanted, so all have their gain.
    gain_frames = {n: require(result.gain_frame) for n, result in window.items()}
    with _frame_numbers_in_errors([here]):
        linear = expander.smooth(number, gain_frames).cpu()
    sdr = gain_frames[number].code.cpu() if keep_sdr else None
    return [replace(here, linear=linear, sdr=sdr, gain_frame=None)]


@contextlib.contextmanager
def _frame_numbers_in_errors(results: Sequence[FrameResult]) -> Iterator[None]:
    """Put the frames' numbers before the sentence of a RuntimeError; vshdr's own errors keep their class."""
    try:
        yield
    except RuntimeError as error:
        first, last = results[0].frame.index, results[-1].frame.index
        where = f"frame {first}" if first == last else f"frames {first}-{last}"
        kind = type(error) if isinstance(error, VshdrError) else RuntimeError
        raise kind(f"{where}: {error}") from error
