"""A frame's signature: a thumbnail and its histogram and texture, by which frames are compared to find shots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vshdr.colour.ycbcr import LUMA_709

HEIGHT, WIDTH = 36, 64  # of the thumbnail: large enough to tell pictures apart, small enough to take a millisecond
_NEIGHBOURHOOD = 9  # pixels of the thumbnail over which its texture is normalised
_NOISE = 0.02  # code values: contrast below this may be noise
_LEVELS = 7  # per channel of the histogram
_BLACK, _WHITE = 0.06, 0.94  # luma codes: a frame that is all darker or all brighter is faded out
_FARTHEST = HEIGHT // 4, WIDTH // 4  # how far a picture may have moved between two frames
_PADDED = 2 * HEIGHT, 2 * WIDTH
_INSIDE = np.fft.rfft2(np.ones((HEIGHT, WIDTH), np.float32), _PADDED)


@dataclass(frozen=True, eq=False)
class Signature:
    """What the shot detector keeps of one SDR frame."""

    thumbnail: NDArray[np.float32]
    """3 x 36 x 64 code values in [0, 1]."""
    scene_change: bool | None = None
    """The frame property `_SceneChangePrev` where the frame has it: whether a shot begins here."""

    @cached_property
    def brightness(self) -> float:
        """Mean luma, in [0, 1]."""
        return float(self._luma.mean())

    @property
    def faded_out(self) -> bool:
        """Whether the frame is black or white all over."""
        return bool(self._luma.max() < _BLACK or self._luma.min() > _WHITE)

    @cached_property
    def textured(self) -> bool:
        """Whether there is enough structure to recognise the picture."""
        return bool(np.square(self._texture).mean() > 0.1)

    @cached_property
    def histogram(self) -> NDArray[np.float64]:
        """Shares of colours in 7 x 7 x 7 bins, which sum to 1.

        A pixel between two levels counts for both in proportion, so that noise changes little.
        """
        level = np.clip(self.thumbnail.reshape(3, -1) * (_LEVELS - 1), 0.0, _LEVELS - 1.001)
        below = level.astype(np.intp)
        share = level - below
        counts = np.zeros(_LEVELS**3)
        for corner in np.ndindex(2, 2, 2):
            up = np.array(corner)[:, None]
            number = np.ravel_multi_index(tuple(below + up), (_LEVELS,) * 3)
            weight = np.where(up, share, 1.0 - share).prod(axis=0)
            counts += np.bincount(number, weight, minlength=counts.size)
        return counts / counts.sum()

    @cached_property
    def _luma(self) -> NDArray[np.float32]:
        return np.tensordot(np.array(LUMA_709, np.float32), self.thumbnail, axes=1)

    @cached_property
    def _texture(self) -> NDArray[np.float32]:
        """(Luma - local mean) / (local contrast + noise): it stays when a lamp is switched on or the picture fades."""
        mean = _box(self._luma)
        contrast = np.sqrt(np.maximum(_box(self._luma * self._luma) - mean * mean, 0.0))
        return ((self._luma - mean) / (contrast + _NOISE)).astype(np.float32, copy=False)

    @cached_property
    def spectra(self) -> tuple[NDArray[np.complexfloating], NDArray[np.complexfloating]]:
        """Fourier transforms of the texture and of its square, padded so that shifts do not wrap around."""
        return np.fft.rfft2(self._texture, _PADDED), np.fft.rfft2(np.square(self._texture), _PADDED)


def signature(sdr: Tensor, scene_change: bool | None = None) -> Signature:
    """Return the signature of a frame, 3 x H x W code values in [0, 1] on any device."""
    thumbnail = F.adaptive_avg_pool2d(sdr[None].float(), (HEIGHT, WIDTH))[0]
    return Signature(thumbnail.cpu().numpy(), scene_change)


def likeness(a: Signature, b: Signature) -> float:
    """Return how much of the structure of `a` is found in `b`: from about 0 (another picture) to 1.

    It is the largest normalised cross-correlation of their textures over shifts of up to a quarter of the frame
    (Padfield, "Masked FFT registration", CVPR 2010, without masks). Changes of light and camera motion hardly affect
    it.
    """
    (of_a, square_a), (of_b, square_b) = a.spectra, b.spectra
    product = _correlate(of_a, of_b)
    energy = np.maximum(_correlate(square_a, _INSIDE), 1.0) * np.maximum(_correlate(_INSIDE, square_b), 1.0)
    return float((product / np.sqrt(energy)).max())


def colour_distance(a: Signature, b: Signature) -> float:
    """Return half the sum of absolute differences of two histograms: 0 if equal, 1 if they share no colour."""
    return 0.5 * float(np.abs(a.histogram - b.histogram).sum())


def mean_difference(a: Signature, b: Signature) -> float:
    """Return the mean absolute difference of two thumbnails, in code values."""
    return float(np.abs(a.thumbnail - b.thumbnail).mean())


def _correlate(a: NDArray[np.complexfloating], b: NDArray[np.complexfloating]) -> NDArray[np.float32]:
    """Return the sum over x of a(x) b(x + shift) for all shifts of at most `_FARTHEST`, from the spectra of a and b."""
    rows, columns = _FARTHEST
    all_shifts = np.fft.fftshift(np.fft.irfft2(np.conj(a) * b, _PADDED))
    return all_shifts[HEIGHT - rows : HEIGHT + rows + 1, WIDTH - columns : WIDTH + columns + 1]


def _box(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over a square around each pixel, with the border repeated."""
    reach = _NEIGHBOURHOOD // 2
    for axis in (0, 1):
        edge = [(reach, reach) if side == axis else (0, 0) for side in (0, 1)]
        padded = np.pad(picture, edge, mode="edge")
        picture = np.lib.stride_tricks.sliding_window_view(padded, _NEIGHBOURHOOD, axis=axis).mean(axis=-1)
    return picture
