"""`vshdr flicker`: several clips of the same frames, measured in lockstep against their SDR source and the truth.

`compare` is the way in. The clips go by once, a frame at a time. `lockstep` reads them, a `ClipMeter` measures each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vshdr.colour.primaries import luminance
from vshdr.errors import InputError
from vshdr.media.read.linear_source import open_linear
from vshdr.metrics.flicker.frame_difference import (
    WHITE,
    FrameDifference,
    Reference,
    encode_luminance,
    from_itself,
    from_source,
    mid_tone_scale,
)
from vshdr.metrics.flicker.lockstep import (
    FrameSet,
    check_comparable,
    clip_names,
    frame_sets,
    measured_size,
    with_transitions,
)
from vshdr.metrics.flicker.meter import ClipMeter
from vshdr.metrics.flicker.motion import Motion, estimate_motion
from vshdr.metrics.flicker.optional_meters import EquivarianceMeter, JodMeter
from vshdr.metrics.flicker.smoothness import smoothness
from vshdr.metrics.flicker.worst_frames import WorstFrame, WorstFrames
from vshdr.metrics.pu21 import pu21_encode
from vshdr.options.flicker import FlickerOptions
from vshdr.temporal.shots import Shot
from vshdr.temporal.transitions import SHOT_BEGINS, Transition

_MODEL_STEP = 12  # the equivariance of a model is measured on every twelfth frame
_THUMBNAIL_WIDTH = 160  # pixels, about, of the pictures whose temporal energy is measured


@dataclass(kw_only=True)
class Clip:
    """One of the clips that are compared."""

    name: str
    role: str
    """"clip", "source" (the SDR) or "truth"."""
    meter: ClipMeter
    scale: float | None = None
    """Factor on its light that matches mid-tones to the source; found at the first frame that is bright enough."""
    totals: dict[str, float] = field(default_factory=dict)
    """All numbers of the whole clip (`PER_FRAME`, `PER_SHOT`, `PER_CLIP`)."""


@dataclass(kw_only=True)
class Comparison:
    """What was measured."""

    clips: list[Clip]
    """The clips in the order given, then the source and the truth if there are any."""
    shots: list[Shot]
    frames: int
    frame_rate: float
    size: tuple[int, int]
    """Width and height at which the clips were measured."""
    worst_frames: list[WorstFrame]
    """The worst first; their pictures are in the order of `clips`."""
    options: FlickerOptions
    equivariance: float = math.nan
    """Equivariance error of `options.model`, in stops."""

    def shot_means(self, clip: Clip, number: int) -> dict[str, float]:
        """Return the numbers of `PER_FRAME` and `PER_SHOT` for one shot of one clip."""
        shot = self.shots[number]
        return clip.meter.track.means(shot.start, shot.end) | clip.meter.shots[number]

    def seconds(self, frame: int) -> float:
        """Return the time at which a frame is shown."""
        return frame / self.frame_rate


def compare(
    paths: Sequence[str | Path],
    options: FlickerOptions,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Comparison:
    """Measure the flicker of the clips `paths`, which show the same frames in the same size.

    `on_progress` is called with the number of frames done and of all frames, None if unknown. Memory does not grow with
    the length of the clips, except for a few numbers per frame. Raise InputError, one sentence, if clips cannot be read
    or do not fit together, and MissingPackageError if ColorVideoVDP is asked for and not installed.
    """
    rate = Fraction(options.frame_rate).limit_denominator(1001) if options.frame_rate else None
    given = [("source", options.sdr), ("truth", options.truth), *(("clip", path) for path in paths)]
    roles = [role for role, path in given if path]
    files = [Path(path) for _, path in given if path]
    sources = [open_linear(path, white=options.white, frame_rate=rate) for path in files]
    check_comparable(sources, roles)
    size, frame_rate = measured_size(sources[0], options.width), float(sources[0].frame_rate)
    clips = [
        Clip(name=name, role=role, meter=ClipMeter(frame_rate))
        for name, role in zip(clip_names(files), roles, strict=True)
    ]
    run = _Run(clips, options, frame_rate, size)
    frames = 0
    known = [source.frame_count for source in sources if source.frame_count]
    for frame_set, event in with_transitions(frame_sets(sources, size)):
        run.add(frames, frame_set, event)
        frames += 1
        on_progress(frames, min(known) if known else None)
    if frames < 2:
        raise InputError(f"{sources[-1].name}: flicker needs at least two frames, and there is {frames}")
    return run.finish(frames)


class _Run:
    """The state of one comparison while frames go by. Clips are in the order source, truth, all others."""

    def __init__(self, clips: list[Clip], options: FlickerOptions, frame_rate: float, size: tuple[int, int]) -> None:
        self._clips, self._options, self._frame_rate, self._size = clips, options, frame_rate, size
        self._has_source = clips[0].role == "source"
        self._truth = next((number for number, clip in enumerate(clips) if clip.role == "truth"), None)
        self._before: list[Reference] = []
        self._starts = [(0, "start")]
        self._worst_frames = WorstFrames(frame_rate)
        self._equivariance = EquivarianceMeter(options.model) if options.model else None
        rated = [number for number, clip in enumerate(clips) if clip.role == "clip"]
        self._jod = {number: JodMeter(frame_rate) for number in rated} if options.jod else {}

    def add(self, frame: int, frame_set: FrameSet, event: Transition | None) -> None:
        """Measure the next frame of all clips. A shot begins with it if `event` is a cut or a fade."""
        if event in SHOT_BEGINS:
            self._starts.append((frame, event))
            self._cut()
        lights = self._scaled(frame_set.lights)
        references = self._references(lights)
        motions = self._motions(references)
        of_truth: FrameDifference | None = None
        for number, clip in enumerate(self._clips):
            at = 0 if self._has_source else number
            encoded, before = encode_luminance(lights[number]), self._before[at] if self._before else None
            found = clip.meter.add(encoded, references[at], before, motions[at], of_truth)
            of_truth = found if number == self._truth else of_truth
            clip.meter.energy.add(_thumbnail(encoded.pu21))
            clip.meter.delivered_energy.add(_thumbnail(pu21_encode(luminance(frame_set.lights[number]) * WHITE)))
        self._before = references
        self._consider_worst(frame, lights)
        if self._equivariance and frame % _MODEL_STEP == 0:
            self._equivariance.add(lights[0])
        if self._truth is not None:
            for number, meter in self._jod.items():
                meter.add(lights[number], lights[self._truth])

    def _consider_worst(self, frame: int, lights: list[Tensor]) -> None:
        """Offer the frame to the worst frames, with the flicker of the clip that flickers most."""
        scores = [
            (float(clip.meter.track.column("excess")[-1]), number)
            for number, clip in enumerate(self._clips)
            if clip.role == "clip"
        ]
        score, number = max((pair for pair in scores if not math.isnan(pair[0])), default=(math.nan, 0))
        self._worst_frames.add(frame, score, number, lights)

    def _scaled(self, lights: list[Tensor]) -> list[Tensor]:
        """Return all clips' light with mid-tones matched to the source."""
        for clip, light in zip(self._clips, lights, strict=True):
            if clip.scale is None:
                source = lights[0] if self._has_source else None
                clip.scale = 1.0 if clip.role == "source" else mid_tone_scale(light, source)
                self._before = []  # the frame before was not scaled by this, so it cannot be compared
        return [light * (clip.scale or 1.0) for clip, light in zip(self._clips, lights, strict=True)]

    def _references(self, lights: list[Tensor]) -> list[Reference]:
        """Return one reference, the source's, or without a source each clip's own."""
        return [from_source(lights[0])] if self._has_source else [from_itself(light) for light in lights]

    def _motions(self, references: list[Reference]) -> list[Motion | None]:
        """Return the motion of each reference since the frame before; None at the first frame of a shot."""
        if not self._before:
            return [None] * len(references)
        return [estimate_motion(now.guide, before.guide) for now, before in zip(references, self._before, strict=True)]

    def _cut(self) -> None:
        for clip in self._clips:
            clip.meter.cut()
        for meter in self._jod.values():
            meter.flush()
        self._worst_frames.cut()
        self._before = []

    def finish(self, frames: int) -> Comparison:
        """Return all numbers after the last frame."""
        self._cut()
        ends = [*(start for start, _ in self._starts[1:]), frames]
        shots = [Shot(start=s, end=end, begins=b) for (s, b), end in zip(self._starts, ends, strict=True)]
        for number, clip in enumerate(self._clips):
            clip.totals = clip.meter.totals() | self._against_source(clip)
            if number in self._jod:
                clip.totals["jod"] = self._jod[number].mean
        # For people: clips first, in the order given, then the source and the truth.
        order = sorted(range(len(self._clips)), key=lambda n: (self._clips[n].role != "clip", n))
        worst_frames = [
            WorstFrame(worst.frame, worst.score, order.index(worst.clip), [worst.pictures[n] for n in order])
            for worst in self._worst_frames.worst()
        ]
        return Comparison(
            clips=[self._clips[n] for n in order],
            shots=shots,
            frames=frames,
            frame_rate=self._frame_rate,
            size=self._size,
            worst_frames=worst_frames,
            options=self._options,
            equivariance=self._equivariance.mean if self._equivariance else math.nan,
        )

    def _against_source(self, clip: Clip) -> dict[str, float]:
        """Return the metrics that compare a clip with its source as wholes."""
        if not self._has_source:
            return {}
        source, meter = self._clips[0].meter, clip.meter
        return {
            "smoothness": smoothness(source.delivered_energy, meter.delivered_energy)["smoothness"],
            "smoothness_normalised": smoothness(source.energy, meter.energy)["smoothness_normalised"],
        }


def _thumbnail(values: Tensor) -> NDArray[np.float32]:
    return avg_pool2d(values, max(1, values.shape[3] // _THUMBNAIL_WIDTH)).numpy()
