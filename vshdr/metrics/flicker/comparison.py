"""`vshdr flicker`: clips of one scene, read in step, measured against their source and the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from torch import Tensor
from torch.nn.functional import avg_pool2d

from vshdr.colour.primaries import luminance
from vshdr.errors import InputError
from vshdr.media.read.linear_source import open_linear
from vshdr.metrics.flicker import motion, smoothness
from vshdr.metrics.flicker.change import WHITE, Change, Reference, from_itself, from_source, light_of, scale_to
from vshdr.metrics.flicker.instants import Instant, check_together, instants, looked_at, names, with_transitions
from vshdr.metrics.flicker.meter import ClipMeter
from vshdr.metrics.flicker.trials import JodMeter, ModelTrial
from vshdr.metrics.flicker.worst_frames import WorstFrame, WorstFrames
from vshdr.metrics.pu21 import pu21_encode
from vshdr.options.flicker import FlickerOptions
from vshdr.temporal.shots import Shot

_MODEL_STEP = 12  # frames from one that the model is tried on to the next


@dataclass(kw_only=True)
class Clip:
    """One of the clips that are compared."""

    name: str
    role: str
    """"clip", "source" (the SDR) or "truth"."""
    meter: ClipMeter
    scale: float | None = None
    """What its light is multiplied with, so that mid-tones agree; found at the first frame that is bright enough."""
    totals: dict[str, float] = field(default_factory=dict)
    """All numbers of the whole clip (`PER_FRAME`, `PER_SHOT`, `PER_CLIP`)."""


@dataclass(kw_only=True)
class Comparison:
    """What was measured."""

    clips: list[Clip]
    shots: list[Shot]
    frames: int
    frame_rate: float
    size: tuple[int, int]
    """Width and height that were looked at."""
    worst_frames: list[WorstFrame]
    """The worst, from the worst on; their pictures are in the order of `clips`."""
    options: FlickerOptions
    equivariance: float = math.nan
    """Of `options.model`, in stops."""

    def shot_means(self, clip: Clip, number: int) -> dict[str, float]:
        """Return the numbers of `PER_FRAME` and `PER_SHOT` for one shot of one clip."""
        shot = self.shots[number]
        return clip.meter.track.means(shot.start, shot.end) | clip.meter.shots[number]

    def seconds(self, frame: int) -> float:
        """When a frame is shown."""
        return frame / self.frame_rate


def compare(
    paths: Sequence[str | Path],
    options: FlickerOptions,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Comparison:
    """Measure the flicker of the clips `paths`, which show the same frames in the same size.

    `on_progress` is called with the frames done and their number as far as it is known. Memory does not grow with the
    clips' length, but for a few numbers per frame. Raise InputError, one sentence, for clips that cannot be read or
    do not fit together, and MissingPackageError where ColorVideoVDP is asked for and not there.
    """
    rate = Fraction(options.frame_rate).limit_denominator(1001) if options.frame_rate else None
    given = [("source", options.sdr), ("truth", options.truth), *(("clip", path) for path in paths)]
    roles, files = zip(*[(role, Path(path)) for role, path in given if path], strict=True)
    sources = [open_linear(path, white=options.white, frame_rate=rate) for path in files]
    check_together(sources, roles)
    size, frame_rate = looked_at(sources[0], options.width), float(sources[0].frame_rate)
    clips = [Clip(name=n, role=r, meter=ClipMeter(frame_rate)) for n, r in zip(names(files), roles, strict=True)]
    run = _Run(clips, options, frame_rate, size)
    frames = 0
    known = [source.frame_count for source in sources if source.frame_count]
    for instant, event in with_transitions(instants(sources, size)):
        run.add(frames, instant, event)
        frames += 1
        on_progress(frames, min(known) if known else None)
    if frames < 2:
        raise InputError(f"{sources[-1].name}: flicker needs at least two frames, and there is {frames}")
    return run.finish(frames)


class _Run:
    """One comparison while frames go by. Clips are in the order source, truth, all others."""

    def __init__(self, clips: list[Clip], options: FlickerOptions, frame_rate: float, size: tuple[int, int]) -> None:
        self._clips, self._options, self._frame_rate, self._size = clips, options, frame_rate, size
        self._has_source = clips[0].role == "source"
        self._truth = next((number for number, clip in enumerate(clips) if clip.role == "truth"), None)
        self._before: list[Reference] = []
        self._starts = [(0, "start")]
        self._worst_frames = WorstFrames(frame_rate)
        self._model = ModelTrial(options.model) if options.model else None
        rated = [number for number, clip in enumerate(clips) if clip.role == "clip"]
        self._jod = {number: JodMeter(frame_rate) for number in rated} if options.jod else {}

    def add(self, frame: int, instant: Instant, event: str | None) -> None:
        """The next frame; a shot begins with it if the event before it is a cut or a fade."""
        if event in ("cut", "fade"):
            self._starts.append((frame, event))
            self._cut()
        lights = self._scaled(instant.lights)
        references = self._references(lights)
        moves = self._motions(references)
        of_truth: Change | None = None
        for number, clip in enumerate(self._clips):
            at = 0 if self._has_source else number
            light, before = light_of(lights[number]), self._before[at] if self._before else None
            found = clip.meter.add(light, references[at], before, moves[at], of_truth)
            of_truth = found if number == self._truth else of_truth
            clip.meter.energy.add(_thumbnail(light.pu21))
            clip.meter.delivered_energy.add(_thumbnail(pu21_encode(luminance(instant.lights[number]) * WHITE)))
        self._before = references
        self._judge(frame, lights)

    def _judge(self, frame: int, lights: list[Tensor]) -> None:
        """What looks at pictures beside the metrics proper."""
        scores = [
            (float(clip.meter.track.column("excess")[-1]), number)
            for number, clip in enumerate(self._clips)
            if clip.role == "clip"
        ]
        score, number = max((pair for pair in scores if not math.isnan(pair[0])), default=(math.nan, 0))
        self._worst_frames.add(frame, score, number, lights)
        if self._model and frame % _MODEL_STEP == 0:
            self._model.add(lights[0])
        for number, meter in self._jod.items():
            meter.add(lights[number], lights[self._truth])

    def _scaled(self, lights: list[Tensor]) -> list[Tensor]:
        for clip, light in zip(self._clips, lights, strict=True):
            if clip.scale is None:
                source = lights[0] if self._has_source else None
                clip.scale = 1.0 if clip.role == "source" else scale_to(light, source)
                self._before = []  # frames on either side were not multiplied alike
        return [light * (clip.scale or 1.0) for clip, light in zip(self._clips, lights, strict=True)]

    def _references(self, lights: list[Tensor]) -> list[Reference]:
        """Return one of the source, or each clip's own."""
        return [from_source(lights[0])] if self._has_source else [from_itself(light) for light in lights]

    def _motions(self, references: list[Reference]) -> list[motion.Motion | None]:
        if not self._before:
            return [None] * len(references)
        return [motion.follow(here.guide, before.guide) for here, before in zip(references, self._before, strict=True)]

    def _cut(self) -> None:
        for clip in self._clips:
            clip.meter.cut()
        for meter in self._jod.values():
            meter.flush()
        self._worst_frames.cut()
        self._before = []

    def finish(self, frames: int) -> Comparison:
        """Return all numbers, once the clips are over."""
        self._cut()
        ends = [*(start for start, _ in self._starts[1:]), frames]
        shots = [Shot(start=s, end=end, begins=b) for (s, b), end in zip(self._starts, ends, strict=True)]
        for number, clip in enumerate(self._clips):
            clip.totals = clip.meter.totals() | self._against_source(clip)
            if number in self._jod:
                clip.totals["jod"] = self._jod[number].mean
        # For people: clips first, in the order given, then what they are held against.
        order = sorted(range(len(self._clips)), key=lambda n: (self._clips[n].role != "clip", n))
        worst_frames = [
            WorstFrame(m.frame, m.score, order.index(m.clip), [m.pictures[n] for n in order])
            for m in self._worst_frames.worst()
        ]
        return Comparison(
            clips=[self._clips[n] for n in order],
            shots=shots,
            frames=frames,
            frame_rate=self._frame_rate,
            size=self._size,
            worst_frames=worst_frames,
            options=self._options,
            equivariance=self._model.mean if self._model else math.nan,
        )

    def _against_source(self, clip: Clip) -> dict[str, float]:
        if not self._has_source:
            return {}
        source, meter = self._clips[0].meter, clip.meter
        return {
            "smoothness": smoothness.smoothness(source.delivered_energy, meter.delivered_energy)["smoothness"],
            "smoothness_normalised": smoothness.smoothness(source.energy, meter.energy)["smoothness_normalised"],
        }


def _thumbnail(values: Tensor) -> Tensor:
    size = max(1, values.shape[3] // 160)
    return avg_pool2d(values, size)
