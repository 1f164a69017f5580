"""A frame's signature: the few numbers by which frames are compared to find shots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vshdr.colour.ycbcr import LUMA_709

HEIGHT, WIDTH = 36, 64  # of the thumbnail: large enough to tell pictures apart, small enough for a millisecond
_NEIGHBOURHOOD = 9  # pixels of the thumbnail over which its texture is normalised
_NOISE = 0.02  # code values: contrast below this is not taken for texture
_LEVELS = 7  # of each channel in the histogram
_BLACK, _WHITE = 0.06, 0.94  # code values of luma beyond which a picture without texture counts as faded out
_FARTHEST = HEIGHT // 4, WIDTH // 4  # how far a picture may have moved between two frames
_PADDED = 2 * HEIGHT, 2 * WIDTH
_INSIDE = np.fft.rfft2(np.ones((HEIGHT, WIDTH), np.float32), _PADDED)


@dataclass(frozen=True, eq=False)
class Signature:
    """One SDR frame as the shot detector sees it."""

    thumbnail: NDArray[np.float32]
    """3 x 36 x 64 code values in [0, 1]."""
    scene_change: bool | None = None
    """The frame property `_SceneChangePrev`, where the frame has it: whether a shot begins here."""

    @cached_property
    def brightness(self) -> float:
        """Mean luma, in [0, 1]."""
        return float(self._luma.mean())

    @property
    def faded_out(self) -> bool:
        """True for a frame that is black or white all over."""
        return bool(self._luma.max() < _BLACK or self._luma.min() > _WHITE)

    @cached_property
    def textured(self) -> bool:
        """Whether there is enough structure to recognise the picture by."""
        return bool(np.square(self._texture).mean() > 0.1)

    @cached_property
    def histogram(self) -> NDArray[np.float64]:
        """Shares of colours, 7 x 7 x 7; a pixel between two levels counts for both, so that noise moves little."""
        place = np.clip(self.thumbnail.reshape(3, -1) * (_LEVELS - 1), 0.0, _LEVELS - 1.001)
        below = place.astype(np.intp)
        share = place - below
        counts = np.zeros(_LEVELS**3)
        for corner in np.ndindex(2, 2, 2):
            up = np.array(corner)[:, None]
            number = np.ravel_multi_index(tuple(below + up), (_LEVELS,) * 3)
            weight = np.where(up, share, 1.0 - share).prod(axis=0)
            counts += np.bincount(number, weight, minlength=counts.size)
        return counts / counts.sum()

    @cached_property
    def _luma(self) -> NDArray[np.float32]:
        return np.tensordot(np.float32(LUMA_709), self.thumbnail, axes=1)

    @cached_property
    def _texture(self) -> NDArray[np.float32]:
        """Luma less its local mean over its local contrast: what stays when light is switched on or fades."""
        mean = _box(self._luma)
        contrast = np.sqrt(np.maximum(_box(self._luma * self._luma) - mean * mean, 0.0))
        return (self._luma - mean) / (contrast + _NOISE)

    @cached_property
    def _spectra(self) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Of the texture and of its square, padded so that shifts do not wrap around."""
        return np.fft.rfft2(self._texture, _PADDED), np.fft.rfft2(np.square(self._texture), _PADDED)


def signature(sdr: Tensor, scene_change: bool | None = None) -> Signature:
    """Look at a frame, 3 x H x W code values in [0, 1] on any device."""
    thumbnail = F.adaptive_avg_pool2d(sdr[None].float(), (HEIGHT, WIDTH))[0]
    return Signature(thumbnail.cpu().numpy(), scene_change)


def likeness(a: Signature, b: Signature) -> float:
    """Return how much of the structure of `a` is found in `b`, from about 0 (another picture) to 1.

    The largest normalised cross-correlation of their textures over shifts of up to a quarter of the frame (Padfield,
    "Masked FFT registration", CVPR 2010, without masks): light and the motion of the camera hardly change it.
    """
    (of_a, square_a), (of_b, square_b) = a._spectra, b._spectra
    product = _correlate(of_a, of_b)
    energy = np.maximum(_correlate(square_a, _INSIDE), 1.0) * np.maximum(_correlate(_INSIDE, square_b), 1.0)
    return float((product / np.sqrt(energy)).max())


def colour_distance(a: Signature, b: Signature) -> float:
    """Return half the absolute difference of their histograms: 0 for equal shares of all colours, 1 for
    none in common.
    """
    return 0.5 * float(np.abs(a.histogram - b.histogram).sum())


def mean_difference(a: Signature, b: Signature) -> float:
    """Return mean absolute difference of their thumbnails, in code values."""
    return float(np.abs(a.thumbnail - b.thumbnail).mean())


def _correlate(a: NDArray, b: NDArray) -> NDArray[np.float32]:
    """Return sum over x of a(x) b(x + shift), for shifts of at most `_FARTHEST`."""
    rows, columns = _FARTHEST
    all_shifts = np.fft.fftshift(np.fft.irfft2(np.conj(a) * b, _PADDED))
    return all_shifts[HEIGHT - rows : HEIGHT + rows + 1, WIDTH - columns : WIDTH + columns + 1]


def _box(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over a square around each pixel; the border is repeated."""
    reach = _NEIGHBOURHOOD // 2
    for axis in (0, 1):
        edge = [(reach, reach) if side == axis else (0, 0) for side in (0, 1)]
        padded = np.pad(picture, edge, mode="edge")
        picture = np.lib.stride_tricks.sliding_window_view(padded, _NEIGHBOURHOOD, axis=axis).mean(axis=-1)
    return picture
