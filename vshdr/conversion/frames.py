"""The middle of a conversion: from a source to linear light, frame by frame or smoothed over time; or, where a GPU does
all of it, to what an encoder takes.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vshdr.conversion.outputs import Delivered, Expanded
from vshdr.errors import VshdrError
from vshdr.expand.device_batches import DeviceBatches, InFlightBatch
from vshdr.expand.expander import Expander
from vshdr.media.read.reader import Frame, Source, read_sdr
from vshdr.runtime.memory import Pool
from vshdr.runtime.stages import Channel, Pipeline
from vshdr.temporal.gain_frames import GainFrame
from vshdr.temporal.shots import with_boundaries
from vshdr.temporal.signature import signature
from vshdr.temporal.windows import windows

Wanted = Callable[[Frame], bool]


def add_expansion(
    pipeline: Pipeline, clip: Source, expanders: Sequence[Expander], wanted: Wanted, outputs: Sequence[Channel]
) -> None:
    """Add the stages that decode `clip` and expand it; they put lists of `Expanded` into every one of `outputs`.

    `expanders` are alike but for their devices; they take batches in turn. `wanted` is asked once for each frame, in
    order; frames that are not wanted are left out, and with smoothing go through the network only where a neighbour
    that is wanted needs them.
    """
    decoded = pipeline.channel()
    radius = expanders[0].options.smooth
    size = min(expander.batch for expander in expanders)
    if not radius:
        frames = (item for item in read_sdr(clip) if wanted(item[0]))
        pipeline.add("decode", frames, lambda item: item, [decoded], produces=True)
        works = [partial(_expand, expander, Pool()) for expander in expanders]
        pipeline.add_side_by_side("network", itertools.batched(decoded, size), works, list(outputs))
        return
    marked = _mark(read_sdr(clip), wanted, radius)
    pipeline.add("decode", marked, lambda item: item, [decoded], produces=True)
    with_gain = pipeline.channel()
    works = [partial(_add_gain, expander, expanders[0]) for expander in expanders]
    pipeline.add_side_by_side("network", itertools.batched(decoded, size), works, [with_gain])
    around = windows(itertools.chain.from_iterable(with_gain), radius, radius)
    pipeline.add("smooth", around, lambda item: _smooth(expanders[0], *item), list(outputs))


def add_device_expansion(
    pipeline: Pipeline,
    clip: Iterable[Frame],
    device_batches: Sequence[DeviceBatches],
    wanted: Wanted,
    outputs: Sequence[Channel],
) -> None:
    """Add the stages that decode `clip` and have it delivered by `device_batches`, in turn; they put lists of
    `Delivered` into every one of `outputs`. `wanted` as in `add_expansion`.
    """
    decoded, sent = pipeline.channel(), pipeline.channel()
    frames = (frame for frame in clip if wanted(frame))
    pipeline.add("decode", frames, lambda frame: frame, [decoded], produces=True)

    turns = itertools.cycle(device_batches)

    def send(batch: tuple[Frame, ...]) -> tuple[tuple[Frame, ...], InFlightBatch]:
        return batch, next(turns).send([frame.planes for frame in batch], pipeline.stopped)

    size = min(device_batches.batch for device_batches in device_batches)
    pipeline.add("send", itertools.batched(decoded, size), send, [sent])
    pipeline.add("network", sent, lambda item: _arrived(*item), list(outputs))


def _arrived(batch: tuple[Frame, ...], load: InFlightBatch) -> list[Delivered]:
    with _named(batch):
        return [
            Delivered(frame, planes, light, load) for frame, (planes, light) in zip(batch, load.frames(), strict=True)
        ]


@dataclass(kw_only=True)
class _Marked:
    """A decoded frame on its way to smoothing."""

    frame: Frame
    sdr: Tensor | None
    """Until the network has seen it: then `gain_frame` has all that is needed."""
    wanted: bool
    needed: bool = False
    """Wanted, or a neighbour of one that is."""
    gain_frame: GainFrame | None = None
    """With its gain, where it is needed."""


def _mark(frames: Iterable[tuple[Frame, Tensor]], wanted: Wanted, radius: int) -> Iterator[tuple]:
    """Yield each frame as `_Marked` with its signature and whether a shot begins with it."""
    looked = (
        (_Marked(frame=frame, sdr=sdr, wanted=wanted(frame)), signature(sdr, frame.scene_change))
        for frame, sdr in frames
    )
    for number, window in windows(with_boundaries(looked), radius, radius):
        window[number][0].needed = any(marked.wanted for marked, _, _ in window.values())
        yield window[number]


def _expand(expander: Expander, pool: Pool, batch: tuple[tuple[Frame, Tensor], ...]) -> list[Expanded]:
    frames = batch[0][1][None] if len(batch) == 1 else torch.stack([sdr for _, sdr in batch])
    with _named([frame for frame, _ in batch]):
        linear = expander.expand(frames, pool.empty(frames.shape))
    return [Expanded(frame, sdr, light) for (frame, sdr), light in zip(batch, linear, strict=True)]


def _add_gain(expander: Expander, smoother: Expander, batch: tuple) -> list[_Marked]:
    """Give frames the gain that `expander` finds, in the memory of the one that smooths."""
    needed = [item for item in batch if item[0].needed]
    if needed:
        with _named([marked.frame for marked, _, _ in needed]):
            code = torch.stack([marked.sdr for marked, _, _ in needed]).to(expander.device)
            gains = expander.gain(code)
        for (marked, look, starts_shot), sdr, gain in zip(needed, code, gains, strict=True):
            marked.gain_frame = smoother.gain_frame(sdr, gain, look, starts_shot)
    for marked, _, _ in batch:
        marked.sdr = None
    return [marked for marked, _, _ in batch]


def _smooth(expander: Expander, number: int, window: Mapping[int, _Marked]) -> list[Expanded]:
    here = window[number]
    if not here.wanted:
        return []
    with _named([here.frame]):
        linear = expander.smooth(number, {n: marked.gain_frame for n, marked in window.items()}).cpu()
    return [Expanded(here.frame, here.gain_frame.code.cpu(), linear)]


@contextlib.contextmanager
def _named(frames: Sequence[Frame]) -> Iterator[None]:
    """Put the frames' numbers before the sentence of a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        first, last = frames[0].index, frames[-1].index
        where = f"frame {first}" if first == last else f"frames {first}-{last}"
        kind = type(error) if isinstance(error, VshdrError) else RuntimeError
        raise kind(f"{where}: {error}") from error
