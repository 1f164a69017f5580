"""`vshdr flicker`: clips of one scene, read in step, measured against their source and the truth."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vshdr.colour import INVERSE_EOTF, luminance
from vshdr.expander import Expander
from vshdr.media.light_source import LightSource, open_light
from vshdr.media.sequence import NumberedName
from vshdr.metrics import jod, motion, smoothness, stability
from vshdr.metrics.change import WHITE, Change, Reference, averaged_down, from_itself, from_source, light_of, scale_to
from vshdr.metrics.flicker import ClipMeter
from vshdr.metrics.flicker_options import FlickerOptions
from vshdr.metrics.moments import Moment, Moments
from vshdr.metrics.pu21 import pu21_encode
from vshdr.temporal.glance import Glance, glance
from vshdr.temporal.shots import Shot, transitions

_MODEL_STEP = 12  # frames from one that the model is tried on to the next
_JOD_FRAMES, _JOD_WIDTH = 48, 480  # what ColorVideoVDP takes at a time


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
    moments: list[Moment]
    """The worst, from the worst on; their pictures are in the order of `clips`."""
    options: FlickerOptions
    equivariance: float = math.nan
    """Of `options.model`, in stops."""

    def shot_means(self, clip: Clip, number: int) -> dict[str, float]:
        """The numbers of `PER_FRAME` and `PER_SHOT` for one shot of one clip."""
        shot = self.shots[number]
        return clip.meter.track.means(shot.start, shot.end) | clip.meter.shots[number]

    def seconds(self, frame: int) -> float:
        """When a frame is shown."""
        return frame / self.frame_rate


class _Instant(NamedTuple):
    """All clips at one frame: 1 x 3 x H x W each, as looked at."""

    lights: list[Tensor]
    glance: Glance


def compare(
    paths: Sequence[str | Path],
    options: FlickerOptions,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Comparison:
    """Measures the flicker of the clips `paths`, which show the same frames in the same size.

    `on_progress` is called with the frames done and their number as far as it is known. Memory does not grow with the
    clips' length, but for a few numbers per frame. Raises ValueError, one sentence, for clips that cannot be read or
    do not fit together, and ModuleNotFoundError where ColorVideoVDP is asked for and not there.
    """
    rate = Fraction(options.frame_rate).limit_denominator(1001) if options.frame_rate else None
    named = {"clip": list(paths), "source": [options.sdr] if options.sdr else []}
    named["truth"] = [options.truth] if options.truth else []
    roles = [role for role in ("source", "truth", "clip") for _ in named[role]]
    files = [Path(path) for role in ("source", "truth", "clip") for path in named[role]]
    sources = [open_light(path, white=options.white, frame_rate=rate) for path in files]
    _check_together(sources, roles)
    size = _looked_at(sources[0], options.width)
    frame_rate = float(sources[0].frame_rate)
    run = _Run([Clip(name=n, role=r, meter=ClipMeter(frame_rate)) for n, r in zip(_names(files), roles, strict=True)])
    run.prepare(options, frame_rate)
    frames = 0
    known = [source.frame_count for source in sources if source.frame_count]
    for instant, event in _with_transitions(_instants(sources, size)):
        run.add(frames, instant, begins=event in ("cut", "fade"))
        frames += 1
        on_progress(frames, min(known) if known else None)
    if frames < 2:
        raise ValueError(f"{sources[-1].name}: flicker needs at least two frames, and there is {frames}")
    return run.finish(frames, frame_rate, size, options)


class _Run:
    """One comparison while frames go by. Clips are in the order source, truth, all others."""

    def __init__(self, clips: list[Clip]) -> None:
        self._clips = clips
        self._has_source = clips[0].role == "source"
        self._truth = next((clip for clip in clips if clip.role == "truth"), None)
        self._before: list[Reference] = []
        self._starts = [0]

    def prepare(self, options: FlickerOptions, frame_rate: float) -> None:
        """What the options ask for beside the metrics proper."""
        self._moments = Moments(frame_rate)
        self._model = _ModelTrial(options.model) if options.model else None
        rated = [clip for clip in self._clips if clip.role == "clip"]
        self._jod = {clip.name: _JodMeter(frame_rate) for clip in rated} if options.jod else {}

    def add(self, frame: int, instant: _Instant, *, begins: bool) -> None:
        """The next frame; a shot begins with it where `begins` says so."""
        if begins and frame:
            self._starts.append(frame)
            self._cut()
        lights = self._scaled(instant.lights)
        references = self._references(lights)
        moves = self._motions(references)
        changes: dict[str, Change | None] = {}
        for number, clip in enumerate(self._clips):
            at = 0 if self._has_source else number
            known = self._before and moves[at]
            before = self._before[at] if known else None
            truth = changes.get(self._truth.name) if self._truth and clip is not self._truth else None
            light = light_of(lights[number])
            changes[clip.name] = clip.meter.add(light, references[at], before, moves[at] if known else None, truth)
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
        self._moments.add(frame, score, number, lights)
        if self._model and frame % _MODEL_STEP == 0:
            self._model.add(lights[0])
        for number, clip in enumerate(self._clips):
            if clip.name in self._jod:
                self._jod[clip.name].add(lights[number], lights[self._clips.index(self._truth)])

    def _scaled(self, lights: list[Tensor]) -> list[Tensor]:
        for clip, light in zip(self._clips, lights, strict=True):
            if clip.scale is None:
                source = lights[0] if self._has_source else None
                clip.scale = 1.0 if clip.role == "source" else scale_to(light, source)
                self._before = []  # frames on either side were not multiplied alike
        return [light * (clip.scale or 1.0) for clip, light in zip(self._clips, lights, strict=True)]

    def _references(self, lights: list[Tensor]) -> list[Reference]:
        """One of the source, or each clip's own."""
        return [from_source(lights[0])] if self._has_source else [from_itself(light) for light in lights]

    def _motions(self, references: list[Reference]) -> list[motion.Motion | None]:
        if not self._before:
            return [None] * len(references)
        return [motion.follow(now.guide, then.guide) for now, then in zip(references, self._before, strict=True)]

    def _cut(self) -> None:
        for clip in self._clips:
            clip.meter.cut()
        for meter in self._jod.values():
            meter.flush()
        self._moments.cut()
        self._before = []

    def finish(self, frames: int, frame_rate: float, size: tuple[int, int], options: FlickerOptions) -> Comparison:
        """All numbers, once the clips are over."""
        self._cut()
        ends = [*self._starts[1:], frames]
        begins = ["start", *["cut"] * (len(ends) - 1)]
        shots = [Shot(start=s, end=e, begins=b) for s, e, b in zip(self._starts, ends, begins, strict=True)]
        for clip in self._clips:
            clip.totals = clip.meter.totals() | self._against_source(clip)
            if clip.name in self._jod:
                clip.totals["jod"] = self._jod[clip.name].mean
        # For people: clips first, in the order given, then what they are held against.
        order = sorted(range(len(self._clips)), key=lambda n: (self._clips[n].role != "clip", n))
        moments = [
            Moment(m.frame, m.score, order.index(m.clip), [m.pictures[n] for n in order]) for m in self._moments.worst()
        ]
        return Comparison(
            clips=[self._clips[n] for n in order],
            shots=shots,
            frames=frames,
            frame_rate=frame_rate,
            size=size,
            moments=moments,
            options=options,
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


class _ModelTrial:
    """The equivariance error of a model, on some frames of the source."""

    def __init__(self, model: str) -> None:
        self._expander = Expander(model, device="cpu")
        self._random = torch.Generator().manual_seed(0)
        self._errors: list[float] = []

    def add(self, linear: Tensor) -> None:
        code = INVERSE_EOTF["bt1886"](linear.clamp(0.0, 1.0))
        height, width = code.shape[2:]
        grid = stability.affine_grid(1, height, width, self._random)
        inside = (grid.abs() <= 1 - 1 / torch.tensor([width, height])).all(dim=-1).unsqueeze(1)
        moved = self._expander.expand(stability.warp(code, grid))
        self._errors.append(stability.equivariance_error(moved, self._expander.expand(code), grid, inside))

    @property
    def mean(self) -> float:
        return sum(self._errors) / len(self._errors)


class _JodMeter:
    """ColorVideoVDP of a clip against the truth, in pieces of at most two seconds."""

    def __init__(self, frame_rate: float) -> None:
        self._predictor = jod.Jod(frame_rate)
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._sum, self._frames = 0.0, 0

    def add(self, test: Tensor, truth: Tensor) -> None:
        self._waiting.append(tuple(averaged_down(light, _JOD_WIDTH) * WHITE for light in (test, truth)))
        if len(self._waiting) == _JOD_FRAMES:
            self.flush()

    def flush(self) -> None:
        if len(self._waiting) > 1:
            test, truth = (torch.cat(frames) for frames in zip(*self._waiting, strict=True))
            self._sum += self._predictor(test, truth) * len(test)
            self._frames += len(test)
        self._waiting = []

    @property
    def mean(self) -> float:
        return self._sum / self._frames if self._frames else math.nan


def _check_together(sources: list[LightSource], roles: list[str]) -> None:
    first = sources[0]
    for source, role in zip(sources, roles, strict=True):
        if (source.width, source.height) != (first.width, first.height):
            raise ValueError(
                f"{source.name} is {source.width}x{source.height} and {first.name} {first.width}x{first.height}; "
                "clips that are compared have one size"
            )
        if role == "source" and source.hdr:
            raise ValueError(f"{source.name} already is HDR; --sdr takes the SDR that the clips were made from")
    if min(first.width, first.height) < motion.SMALLEST:
        raise ValueError(
            f"{first.name} is {first.width}x{first.height}; motion can be followed from {motion.SMALLEST} pixels on"
        )


def _looked_at(source: LightSource, widest: int) -> tuple[int, int]:
    if not widest or source.width <= widest:
        return source.width, source.height
    return max(widest, motion.SMALLEST), max(motion.SMALLEST, round(source.height * widest / source.width))


def _instants(sources: list[LightSource], size: tuple[int, int]) -> Iterator[_Instant]:
    """The clips in step. Raises ValueError where one ends before the others."""
    iterators = [iter(source) for source in sources]
    count = 0
    while True:
        frames = [next(iterator, None) for iterator in iterators]
        if all(frame is None for frame in frames):
            return
        for source, frame in zip(sources, frames, strict=True):
            if frame is None:
                longer = next(s.name for s, f in zip(sources, frames, strict=True) if f is not None)
                raise ValueError(f"{source.name} ends after {count} frames, {longer} goes on; cut them to one length")
        lights = [averaged_down(frame.linear[None], *size) for frame in frames]
        changes = [frame.scene_change for frame in frames if frame.scene_change is not None]
        # What the detector sees: code values, for HDR after Reinhard's curve.
        shown = lights[0] if not sources[0].hdr else lights[0].clamp_min(0.0) / (1.0 + lights[0].clamp_min(0.0))
        code = INVERSE_EOTF["bt1886"](shown.clamp(0.0, 1.0))[0]
        yield _Instant(lights, glance(code, changes[0] if changes else None))
        count += 1


def _with_transitions(instants: Iterator[_Instant]) -> Iterator[tuple[_Instant, str | None]]:
    """Each instant with what happens before it. The detector looks a few frames ahead, which wait here."""
    waiting: deque[_Instant] = deque()

    def glances() -> Iterator[Glance]:
        for instant in instants:
            waiting.append(instant)
            yield instant.glance

    for event in transitions(glances()):
        yield waiting.popleft(), event


def _thumbnail(values: Tensor) -> Tensor:
    size = max(1, values.shape[3] // 160)
    return avg_pool2d(values, size)


def _names(paths: list[Path]) -> list[str]:
    """What to call each clip: the file's name without suffix and counter, with its folder where two are alike."""

    def short(path: Path) -> str:
        numbered = NumberedName.parse(path)
        return (numbered.before.rstrip("._- ") if numbered else path.stem) or path.absolute().parent.name

    names = [short(path) for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.absolute().parent.name}/{name}" for path, name in zip(paths, names, strict=True)]
    return [name if names.count(name) == 1 else f"{name} ({number + 1})" for number, name in enumerate(names)]
