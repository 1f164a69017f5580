"""The Expander: one model on one device. SDR code values go in, linear light comes out, frame by frame.

The plugin and `convert` both bring their frames here, so that gamma, strength, peak, precision, batches and tiles mean
the same everywhere.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Unpack

import torch
from torch import Tensor

from vshdr.colour.gain import apply_gain, gain_of
from vshdr.colour.transfer import EOTF
from vshdr.errors import InputError, NotFiniteError, OutOfMemoryError
from vshdr.expand.backends import Backend, open_backend
from vshdr.expand.batch_size import BatchPlan, plan_batch
from vshdr.expand.output_curve import OutputCurve, crop, remove_negative
from vshdr.expand.tiles import clamp_and_pad, in_tiles, tile_size
from vshdr.models.cards import Card
from vshdr.models.contract import Display, round_up
from vshdr.options.expand import ExpanderKeywords, ExpandOptions
from vshdr.runtime.memory import Workspaces, out_of_memory
from vshdr.temporal.gain_frames import GainFrame
from vshdr.temporal.shots import with_boundaries
from vshdr.temporal.signature import Signature, signature
from vshdr.temporal.smoothing import Smoother
from vshdr.temporal.windows import windows

_PEAK_OF_PQ = 10000.0  # nits; stands in for "no limit" where an operator needs a number


class Expander:
    """A model on a device, with the user's options.

        linear = Expander("gainmap", peak=600).expand(sdr)

    Parameters: `model` and the fields of `ExpandOptions`, and `eotf`, the SDR display's curve (a key of
    `vshdr.colour.transfer.EOTF`). Raise InputError for options that do not fit, OSError for weights that cannot be
    read and DeviceError for a device that is not there.

    The same frame gives the same output, bit for bit, at any place in a clip and in any batch: on a CPU frames go
    through one by one, on a GPU always in batches of one size, the last one filled up. That size is fixed before the
    first frame; memory that runs out later is an error. With `smooth`, the same holds for the same frame among the same
    neighbours.
    """

    def __init__(self, model: str = "", *, eotf: str = "bt1886", **options: Unpack[ExpanderKeywords]) -> None:
        self.options: ExpandOptions = ExpandOptions(model=model, **options)
        if eotf not in EOTF:
            raise InputError(f"eotf must be one of {', '.join(EOTF)}, not '{eotf}'")
        self._linearise = EOTF[eotf]
        display = Display(eotf=eotf, white=self.options.white, peak=self.options.peak or _PEAK_OF_PQ)
        self.backend: Backend = open_backend(self.options, display)
        self.card: Card = self.backend.card
        self.device: torch.device = self.backend.device
        self.precision: str = self.backend.precision
        """What `options.precision` comes to here: fp32, bf16 or fp16."""
        self._output_curve = OutputCurve(self.options, display, self.backend.brightest, self._linearise)
        self._smoother = Smoother(self.options.smooth, self.options.smooth_mode) if self.options.smooth else None
        self._workspaces = Workspaces()
        self._plan = BatchPlan.of(self.options, self.backend)
        self._planned_for: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"Expander({self.card.name!r}, device={str(self.device)!r}, {self.options})"

    @property
    def batch(self) -> int:
        """How many frames to hand to `expand` at a time. On a GPU the network takes them all in one call; on a CPU it
        takes them one by one all the same, see `frames_per_call`.
        """
        return self._plan.batch

    @property
    def frames_per_call(self) -> int:
        """How many frames the network sees at a time. On a GPU this decides how it rounds."""
        return 1 if self.backend.one_by_one else self._plan.batch

    @property
    def tile(self) -> tuple[int, int]:
        """Width and height of tiles in pixels, as asked for or as the device's memory allows; 0 is the model's own
        choice.
        """
        return self._plan.tile

    def choose_batch(self, width: int, height: int) -> int:
        """Fix batch and tiles for frames of that size, as far as the options leave them open, and return the batch.

        It expands one frame to see how much memory that takes; on a CPU there is nothing to try. Call it before the
        first frame of a clip; otherwise the first call of `expand` or `gain` does. A second call for the same size
        changes nothing. Raise OutOfMemoryError where the memory is too small for a frame in small tiles, and what
        `expand` raises.
        """
        if self._planned_for == (width, height):
            return self.batch
        before = self._plan, self._planned_for
        frame = torch.zeros(1, 3, height, width, device=self.device)

        def expand_one(plan: BatchPlan) -> None:
            self._plan = plan
            self.expand(frame)

        self._planned_for = width, height  # so that the trial does not plan again
        try:
            self._plan = plan_batch(self.options, self.backend, width, height, expand_one)
        except BaseException:
            self._plan, self._planned_for = before
            raise
        return self.batch

    def limit_batch(self, most: int) -> None:
        """Lower the batch to `most` frames, before the first frame: to what else on the device has room for, or to what
        several devices agree on.
        """
        self._plan = BatchPlan(batch=min(self._plan.batch, most), tile=self._plan.tile)

    @torch.no_grad()  # and not inference_mode, whose tensors the caller could neither change nor train on
    def expand(self, sdr: Tensor, out: Tensor | None = None) -> Tensor:
        """Return linear light of SDR frames.

        `sdr` is a float tensor N x 3 x H x W of code values in [0, 1] (values outside are clamped), on any device. With
        `smooth` they are taken for successive frames of a clip. Return float32, N x 3 x H x W, on the same device as
        `sdr`; 1.0 is SDR white, nothing is negative or above `peak / white`. With `out`, a float32 tensor of the shape
        of `sdr`, that is filled and returned.

        Raise InputError for another shape or type, NotFiniteError where the model gives NaN or infinity and
        OutOfMemoryError where the device's memory is too small.
        """
        _check_frames(sdr)
        if self._smoother:
            smoothed = torch.stack(list(self.expand_clip(sdr))).to(sdr.device)
            return smoothed if out is None else out.copy_(smoothed)

        def work(code: Tensor, size: tuple[int, int], out: Tensor) -> Tensor:
            return self._output_curve.apply(code, self._model_light(code, size), out)

        return self._in_batches(sdr, work, out)

    @torch.no_grad()
    def enqueue(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """As `expand`, for one batch that is on the device already, and without waiting for the device.

        Return linear light, and whether all that the model gave is finite: one bool, on the device.
        """
        height, width = code.shape[2:]
        padded = clamp_and_pad(code, self.card.multiple)
        linear = torch.empty_like(code, dtype=torch.float32, memory_format=torch.contiguous_format)
        finite = self._output_curve.apply(padded, self._model_light(padded, (height, width)), linear)
        return linear, finite

    def check_finite(self, finite: Tensor) -> None:
        """Raise NotFiniteError where `finite`, of `enqueue`, is false. Waits for the device."""
        if not finite:
            raise NotFiniteError(
                f"{self.card.name} gave values that are not finite; try precision fp32 or other weights"
            )

    @torch.no_grad()
    def gain(self, sdr: Tensor, out: Tensor | None = None) -> Tensor:
        """Return what the model adds to SDR frames, in stops, before smoothing, strength and the peak: N x 3 x H x W on
        the device of `sdr`. Arguments and errors as for `expand`.
        """
        _check_frames(sdr)

        def work(code: Tensor, size: tuple[int, int], out: Tensor) -> Tensor:
            light = self._model_light(code, size)
            finite = remove_negative(light)
            out.copy_(crop(gain_of(self._linearise(code), light), out))
            return finite

        return self._in_batches(sdr, work, out)

    def gain_frame(self, sdr: Tensor, gain: Tensor, signature: Signature, starts_shot: bool) -> GainFrame:
        """Return a frame and its gain, 3 x H x W each, as `smooth` takes it."""
        code = sdr.to(self.device, torch.float32).clamp(0.0, 1.0)
        return GainFrame.of(
            code,
            gain.to(self.device),
            brightness=signature.brightness,
            starts_shot=starts_shot,
            linearise=self._linearise,
        )

    @torch.no_grad()
    def smooth(self, number: int, window: Mapping[int, GainFrame]) -> Tensor:
        """Return linear light of frame `number` with its gain smoothed over `window`, 3 x H x W on the expander's
        device.

        `window` holds the frames within `options.smooth` frames as far as the clip has them. Strength and the peak
        come after smoothing. Raise InputError if the option `smooth` is off, NotFiniteError where the light is not
        finite, OutOfMemoryError where the device's memory is too small.
        """
        if self._smoother is None:
            raise InputError("this Expander does not smooth; give it smooth, the frames on either side")
        code = window[number].code[None]
        height, width = code.shape[2:]
        with self.explain_memory(width, height):
            linear = apply_gain(self._linearise(code), self._smoother(number, window)[None])
            self.check_finite(self._output_curve.apply(code, linear, linear))
            return linear[0]

    @torch.no_grad()
    def expand_clip(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield linear light of the successive frames of a clip, 3 x H x W each, on the expander's device.

        The frames are those that `expand` gives for all at once; with `smooth` each comes that many and three more
        late. Memory does not grow with the clip. Errors are those of `expand`.
        """
        radius = self.options.smooth
        if not radius:
            for batch in itertools.batched(frames, self.batch):
                yield from self.expand(torch.stack(batch)).to(self.device)
            return
        for number, window in windows(self._gain_frames(frames), radius, radius):
            yield self.smooth(number, window)

    def _gain_frames(self, frames: Iterable[Tensor]) -> Iterator[GainFrame]:
        with_shots = with_boundaries((sdr, signature(sdr)) for sdr in frames)
        for batch in itertools.batched(with_shots, self.batch):
            gains = self.gain(torch.stack([sdr for sdr, _, _ in batch]))
            for (sdr, frame_signature, starts_shot), gain in zip(batch, gains, strict=True):
                yield self.gain_frame(sdr, gain, frame_signature, starts_shot)

    def _in_batches(
        self, sdr: Tensor, work: Callable[[Tensor, tuple[int, int], Tensor], Tensor], out: Tensor | None
    ) -> Tensor:
        """Return `out`, or a new tensor, filled by `work` batch by batch.

        `work` is called with code values, padded to the model's multiple; the frames' height and width; and the part of
        the result to fill, N x 3 x H x W. It returns whether all that the model gave is finite.
        """
        height, width = sdr.shape[2:]
        if out is None:
            out = torch.empty(sdr.shape, device=sdr.device)
        elif out.shape != sdr.shape or out.dtype != torch.float32:
            raise InputError(f"out must be float32 {tuple(sdr.shape)}, not {out.dtype} {tuple(out.shape)}")
        if self._planned_for is None:
            self.choose_batch(width, height)
        with self.explain_memory(width, height):
            for start in range(0, len(sdr), self.frames_per_call):
                part = slice(start, start + self.frames_per_call)
                with self._workspaces.borrow():
                    finite = work(self._padded(sdr[part]), (height, width), out[part])
                self.check_finite(finite)
        return out

    def _padded(self, frames: Tensor) -> Tensor:
        """Return code values on the device, within [0, 1], in batches of one size, padded to the model's multiple."""
        code = frames.to(self.device, torch.float32)
        missing = self.frames_per_call - len(code)
        if missing:
            # Kernels are chosen by shape, and another kernel may round otherwise: the last batch is filled up.
            code = torch.cat([code, code[-1:].expand(missing, -1, -1, -1)])
        return clamp_and_pad(code, self.card.multiple)

    def _model_light(self, code: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the model's light for padded code values of frames of `size`, with gamma: y = f(x^(1/g))^g
        (HDRCNN's).
        """
        gamma = self.options.gamma
        if gamma == 1.0:
            return self._run_model(code, size)
        return self._run_model(code.pow(1.0 / gamma), size).clamp_min(0.0).pow(gamma)

    def _run_model(self, code: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the model's light for padded frames of `size`, in tiles where they are smaller than the frame."""
        height, width = size
        padded_height, padded_width = code.shape[2:]
        multiple = self.card.multiple
        summary = self.backend.summarise(code[..., :height, :width])
        tile = tile_size(
            self._plan.tile, padded_width, padded_height, default=self.backend.default_tile, multiple=multiple
        )
        if tile[0] >= padded_width and tile[1] >= padded_height:
            return self.backend.apply(code, summary)
        overlap = self.card.context if self.options.overlap < 0 else self.options.overlap

        def run_tile(seen: Tensor, rows: slice, columns: slice) -> Tensor:
            return self.backend.apply(seen, self.backend.cut(summary, (padded_height, padded_width), rows, columns))

        return in_tiles(run_tile, code, tile, round_up(overlap, multiple))

    @contextlib.contextmanager
    def explain_memory(self, width: int, height: int) -> Iterator[None]:
        """Raise OutOfMemoryError, a sentence that says what to lower, where work on frames of that size runs out of the
        device's memory.
        """
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, OutOfMemoryError) or not out_of_memory(error):
                raise
            raise OutOfMemoryError(
                f"{self.device} ran out of memory on {width}x{height} frames; lower batch (now {self.batch}), set "
                "tile, or use a smaller model"
            ) from error


def _check_frames(sdr: object) -> None:
    """Raise InputError for what is not a batch of RGB frames."""
    if not isinstance(sdr, Tensor):
        raise InputError(f"frames must be a float tensor N x 3 x H x W, not {type(sdr).__name__}")
    if sdr.ndim != 4 or sdr.shape[1] != 3 or not sdr.is_floating_point() or 0 in sdr.shape:
        raise InputError(f"frames must be a float tensor N x 3 x H x W, not {sdr.dtype} {tuple(sdr.shape)}")
