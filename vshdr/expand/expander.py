"""The Expander: one model on one device. SDR code values go in, linear light comes out, frame by frame.

The plugin and `convert` both bring their frames here, so gamma, strength, peak, precision, batches and tiles mean the
same everywhere.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from vshdr import kernels, models
from vshdr.colour.gain import apply_gain, gain_of
from vshdr.colour.roll_off import RollOff, roll_off
from vshdr.colour.transfer import EOTF
from vshdr.errors import DeviceError, InputError, NotFiniteError, OutOfMemoryError
from vshdr.expand.tiles import clamp_and_pad, in_tiles
from vshdr.models.contract import Display, round_up
from vshdr.options.expand import ExpandOptions
from vshdr.runtime.memory import Workspaces, out_of_memory
from vshdr.temporal.gain_frames import GainFrame
from vshdr.temporal.shots import with_boundaries
from vshdr.temporal.signature import Signature, signature
from vshdr.temporal.smoothing import Smoother
from vshdr.temporal.windows import windows

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_LARGEST_PEAK = 10000.0  # where PQ ends; it stands in for "no limit" where an operator needs a number
_SMALLEST_TILE = 128  # pixels: below, a tile is mostly overlap
_SHARE_OF_MEMORY = 0.5  # of what is free on a GPU, for a batch: frames on their way take memory, too
_MOST = 3 << 29  # bytes of a batch; larger ones gain nothing, and other programs want memory as well
_UNBOUNDED = RollOff.below(math.inf)


class Expander:
    """A model on a device, with the user's options.

        linear = Expander("gainmap", peak=600).expand(sdr)

    Parameters: `model` and the fields of `ExpandOptions`, and `eotf`, the SDR display's curve (a key of
    `vshdr.colour.transfer.EOTF`). Raise InputError for options that do not fit, OSError for weights that cannot be
    read and DeviceError for a device that is not there.

    The same frame gives the same output, bit for bit, at any place in a clip and in any batch: on a CPU frames go
    through one by one, on a GPU always in batches of one size, the last filled up. With `smooth` this holds for the
    same frame among the same neighbours.
    """

    def __init__(self, model: str = "", *, eotf: str = "bt1886", **options) -> None:
        self.options = ExpandOptions(model=model, **options)
        if eotf not in EOTF:
            raise InputError(f"eotf must be one of {', '.join(EOTF)}, not '{eotf}'")
        self._linearise = EOTF[eotf]
        peak = self.options.peak or _LARGEST_PEAK
        display = Display(eotf=eotf, white=self.options.white, peak=peak)
        self.description = models.describe(model or models.DEFAULT)
        self.device = self._find_device()
        self._model = models.build(model or models.DEFAULT, self.options.weights, display).to(self.device)
        self.precision = self._find_precision()
        """What `options.precision` comes to here: fp32, bf16 or fp16."""
        self._dtype = _DTYPES[self.precision]
        # Gamma and strength above 1 raise what a model gives to their power; one that stays below the peak all the same
        # is not bent.
        brightest = self._model.brightest ** (max(1.0, self.options.gamma) * max(1.0, self.options.strength))
        ceiling = math.inf if self.options.peak == 0 else display.headroom
        self._roll_off = RollOff.below(ceiling, brightest=brightest)
        self._smoother = Smoother(self.options.smooth, self.options.smooth_mode) if self.options.smooth else None
        self._workspaces = Workspaces()
        self._tile = self.options.tile
        self.batch = self.options.batch or (1 if self.device.type == "cpu" else 4)

    def __repr__(self) -> str:
        return f"Expander({self.description.name!r}, device={str(self.device)!r}, {self.options})"

    def _find_device(self) -> torch.device:
        wanted, index = self.options.device, self.options.device_index
        if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
            return torch.device("cpu")
        if not torch.cuda.is_available():
            raise DeviceError("device 'cuda' was asked for, but torch sees no CUDA device; use device 'cpu' or 'auto'")
        if index >= torch.cuda.device_count():
            raise DeviceError(
                f"device_index {index} was asked for, but torch sees {torch.cuda.device_count()} CUDA devices"
            )
        return torch.device("cuda", index)

    def _find_precision(self) -> str:
        name = self.options.precision
        if next(self._model.parameters(), None) is None:  # an operator would only lose bits, visibly: bf16 has eight
            return "fp32"
        if name != "auto":
            return name
        return "fp32" if self.device.type == "cpu" else self.description.precision

    @torch.no_grad()  # and not inference_mode, whose tensors the caller could neither change nor train on
    def expand(self, sdr: Tensor, out: Tensor | None = None) -> Tensor:
        """Return linear light of SDR frames.

        `sdr` is a float tensor N x 3 x H x W of code values in [0, 1] (values outside are clamped), on any device. With
        `smooth` they are taken for successive frames of a clip. Return float32, N x 3 x H x W, on the same device as
        `sdr`; 1.0 is SDR white, nothing is negative or above `peak / white`. With `out`, a float32 tensor of the shape
        of `sdr`, that is filled and returned.

        Raise InputError for another shape or type, NotFiniteError where the model gives NaN or infinity, and
        OutOfMemoryError where the device's memory is too small.
        """
        _refuse_other_shapes(sdr)
        if self._smoother:
            smoothed = torch.stack(list(self.expand_clip(sdr))).to(sdr.device)
            return smoothed if out is None else out.copy_(smoothed)

        def work(code: Tensor, size: tuple[int, int], out: Tensor) -> Tensor:
            return self._finish(code, self._light(code, size), out)

        return self._in_batches(sdr, work, out)

    @torch.no_grad()
    def enqueue(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """As `expand`, for one batch that is on the device already, without ever waiting for the device.

        Return linear light, and whether all that the model gave is finite: one bool, on the device.
        """
        padded = clamp_and_pad(code, self.description.multiple)
        linear = torch.empty_like(code, dtype=torch.float32, memory_format=torch.contiguous_format)
        finite = self._finish(padded, self._light(padded, tuple(code.shape[2:])), linear)
        return linear, finite

    def refuse_infinite(self, finite: Tensor) -> None:
        """Raise NotFiniteError where `finite`, of `enqueue`, is false. Waits for the device."""
        if not finite:
            raise NotFiniteError(
                f"{self.description.name} gave values that are not finite; try precision fp32 or other weights"
            )

    @torch.no_grad()
    def gain(self, sdr: Tensor, out: Tensor | None = None) -> Tensor:
        """Return what the model adds to SDR frames, in stops, before smoothing, strength and the peak: N x 3 x H x W on
        the device of `sdr`. Arguments and errors as for `expand`.
        """
        _refuse_other_shapes(sdr)

        def work(code: Tensor, size: tuple[int, int], out: Tensor) -> Tensor:
            light = self._light(code, size)
            finite = self._settle(light, _UNBOUNDED, light)
            out.copy_(_corner(gain_of(self._linearise(code), light), out))
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
        come after smoothing. Raise OutOfMemoryError where the device's memory is too small.
        """
        here = window[number]
        with self._memory_explained(here.code):
            code, gain = here.code[None], self._smoother(number, window)[None]
            linear = apply_gain(self._linearise(code), gain)
            self.refuse_infinite(self._finish(code, linear, linear))
            return linear[0]

    @torch.no_grad()
    def expand_clip(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield linear light of the successive frames of a clip, 3 x H x W each, on the expander's device.

        The frames are those that `expand` gives for all at once; with `smooth` each comes that many and three more
        late. Memory does not grow with the clip. Errors are those of `expand`.
        """
        if not self._smoother:
            for batch in itertools.batched(frames, self.batch):
                yield from self.expand(torch.stack(batch)).to(self.device)
            return
        for number, window in windows(self._gain_frames(frames), self.options.smooth, self.options.smooth):
            yield self.smooth(number, window)

    def _gain_frames(self, frames: Iterable[Tensor]) -> Iterator[GainFrame]:
        for batch in itertools.batched(with_boundaries((sdr, signature(sdr)) for sdr in frames), self.batch):
            gains = self.gain(torch.stack([sdr for sdr, _, _ in batch]))
            for (sdr, look, starts_shot), gain in zip(batch, gains, strict=True):
                yield self.gain_frame(sdr, gain, look, starts_shot)

    def _in_batches(self, sdr: Tensor, work: Callable[..., Tensor], out: Tensor | None) -> Tensor:
        """Call `work` with code values padded to the model's multiple, the frames' height and width, and where the
        result goes, N x 3 x H x W; return that for all frames. What `work` returns says whether all is finite.
        """
        if out is None:
            out = torch.empty(sdr.shape, device=sdr.device)
        elif out.shape != sdr.shape or out.dtype != torch.float32:
            raise InputError(f"out must be float32 {tuple(sdr.shape)}, not {out.dtype} {tuple(out.shape)}")
        start = 0
        with self._memory_explained(sdr):
            while start < len(sdr):
                end = start + (1 if self.device.type == "cpu" else self.batch)
                try:
                    with self._workspaces.borrow():
                        finite = work(self._padded(sdr[start:end]), tuple(sdr.shape[2:]), out[start:end])
                except RuntimeError as error:
                    if not out_of_memory(error) or not self._take_less(*sdr.shape[2:]):
                        raise
                    continue
                self.refuse_infinite(finite)
                start = end
        return out

    def _take_less(self, height: int, width: int) -> bool:
        """Halve the batch, or where it is one frame, the tiles; False where that is as little as makes sense."""
        if self.batch > 1:
            self.batch //= 2
            return True
        tile_width, tile_height = self._tile_size(height, width)
        if min(tile_width, tile_height) <= _SMALLEST_TILE:
            return False
        self._tile = tile_width // 2, tile_height // 2
        return True

    def choose_batch(self, width: int, height: int) -> None:
        """Choose batch and tiles for frames of that size by the device's free memory, as far as the options leave them
        open: by trying one frame. Does nothing on a CPU, where there is no batch to choose.

        Raise OutOfMemoryError where the memory is too small for a frame in small tiles.
        """
        if self.device.type == "cpu":
            return
        allowed, self.batch = self.batch, 1
        frame = torch.zeros(1, 3, height, width, device=self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        self.expand(frame)
        needed = torch.cuda.max_memory_allocated(self.device) - before
        free = torch.cuda.mem_get_info(self.device)[0]
        self.batch = self.options.batch or max(1, min(allowed, int(_SHARE_OF_MEMORY * free / needed), _MOST // needed))

    def _padded(self, frames: Tensor) -> Tensor:
        """Return code values on the device, within [0, 1], in batches of one size, padded to the model's multiple."""
        code = frames.to(self.device, torch.float32)
        if self.device.type != "cpu" and len(code) < self.batch:
            # Kernels are chosen by shape, and another kernel may round otherwise: the last batch is filled up.
            code = torch.cat([code, code[-1:].expand(self.batch - len(code), -1, -1, -1)])
        return clamp_and_pad(code, self.description.multiple)

    @contextlib.contextmanager
    def _memory_explained(self, frames: Tensor) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise OutOfMemoryError(
                f"{self.device} ran out of memory on {frames.shape[-1]}x{frames.shape[-2]} frames; lower batch "
                f"(now {self.batch}), set tile, or use a smaller model"
            ) from error

    def _light(self, code: Tensor, size: tuple[int, int]) -> Tensor:
        """Return what the model makes of padded code values of frames of `size`, with gamma: y = f(x^(1/g))^g
        (HDRCNN's).
        """
        gamma = self.options.gamma
        if gamma == 1.0:
            return self._run(code, size)
        return self._run(code.pow(1.0 / gamma), size).clamp_min(0.0).pow(gamma)

    def _finish(self, code: Tensor, linear: Tensor, out: Tensor) -> Tensor:
        """Strength, and the roll-off to the peak; return whether all was finite."""
        if self.options.strength == 1.0:
            return self._settle(_corner(linear, out), self._roll_off, out)
        base = self._linearise(code)
        finite = self._settle(linear, _UNBOUNDED, linear)
        linear = apply_gain(base, self.options.strength * gain_of(base, linear))
        return finite & self._settle(_corner(linear, out), self._roll_off, out)

    def _settle(self, linear: Tensor, curve: RollOff, out: Tensor) -> Tensor:
        """Fill `out`, which may be `linear`, with light that is not negative and rolled off along `curve`; return
        whether all was finite.
        """
        if kernels.serves(linear, out):
            return torch.tensor(kernels.settle(linear, *curve, out))
        low, high = torch.aminmax(linear)
        out.copy_(roll_off(linear.clamp_min(0.0), curve))
        return torch.isfinite(low) & torch.isfinite(high)

    def _run(self, code: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the model on whole frames, padded, of `size`; in tiles where they are wanted."""
        height, width = size
        half = self._dtype is not torch.float32
        with torch.autocast(self.device.type, self._dtype, enabled=half), self._no_tf32():
            summary = self._model.summarise(code[..., :height, :width])
            tile_width, tile_height = self._tile_size(*code.shape[2:])
            if tile_width >= code.shape[3] and tile_height >= code.shape[2]:
                return self._model(code, summary).float()
            overlap = self.description.context if self.options.overlap < 0 else self.options.overlap
            overlap = round_up(overlap, self.description.multiple)

            def run(tile: Tensor, rows: slice, columns: slice) -> Tensor:
                return self._model(tile, self._model.cut(summary, tuple(code.shape[2:]), rows, columns)).float()

            return in_tiles(run, code, (tile_width, tile_height), overlap)

    def _no_tf32(self) -> contextlib.AbstractContextManager:
        """On a GPU cuDNN would take fp32 for ten bits of mantissa."""
        full = self.device.type == "cuda" and self._dtype is torch.float32
        return torch.backends.cudnn.flags(allow_tf32=False) if full else contextlib.nullcontext()

    def _tile_size(self, height: int, width: int) -> tuple[int, int]:
        """Return width and height of tiles in multiples of the model's own; the frame's where it is not tiled."""
        automatic = self.description.tile if self.device.type == "cpu" else 0
        sizes = []
        for asked, side in zip(self._tile, (width, height), strict=True):
            wanted = asked or automatic or side
            sizes.append(round_up(wanted, self.description.multiple))
        return sizes[0], sizes[1]


def _refuse_other_shapes(sdr: Tensor) -> None:
    if not isinstance(sdr, Tensor):
        raise InputError(f"frames must be a float tensor N x 3 x H x W, not {type(sdr).__name__}")
    if sdr.ndim != 4 or sdr.shape[1] != 3 or not sdr.is_floating_point() or 0 in sdr.shape:
        raise InputError(f"frames must be a float tensor N x 3 x H x W, not {sdr.dtype} {tuple(sdr.shape)}")


def _corner(pictures: Tensor, out: Tensor) -> Tensor:
    """As much of `pictures`, which may be more and larger, as fits into `out`."""
    count, _, height, width = out.shape
    return pictures[:count, :, :height, :width]
