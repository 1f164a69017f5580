"""Losses of training: how far a network's light is from the truth, as each publication measures it.

All losses are called as `loss(output, truth, sdr)` with tensors N x 3 x H x W, and return a scalar. `sdr` is code
values in [0, 1], `truth` is linear light with 1.0 = SDR white. `output` is in the loss's own domain (see `Loss`), and
so is `truth` where the domain is "relative".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.colour.masks import ramp
from vshdr.colour.transfer import EOTF
from vshdr.models.contract import EPSILON, Domain

SHOWN = 128.0
"""Truth is clipped here, in multiples of SDR white (26,000 nits at 203). No display shows more, so that how bright the
sun is makes no difference."""
PAPER = 4.0
"""Weight in `highlight_loss` of white that is just white, such as paper, against other pixels."""
LEAST = 0.01
"""Share of a picture above which its highlights count as much as those of any other picture."""
HUE = 3.0
"""Weight in `highlight_loss` of errors in hue against errors in brightness."""
_BRIGHTEST = 2.0**14  # times SDR white, four times the sun of the procedural scene; keeps squares finite


def to_domain(light: Tensor, given: Domain, wanted: Domain, headroom: float) -> Tensor:
    """Return a network's output, which is in the domain `given`, in the domain `wanted`; differentiable.

    `headroom` is what 1 is worth in the domain "relative", in multiples of SDR white.
    """
    if given == wanted:
        return light
    if given == "log":
        linear = light.clamp_max(math.log(_BRIGHTEST)).exp() - EPSILON
    else:
        linear = light * headroom if given == "relative" else light
    if wanted == "log":
        return (linear.clamp_min(0.0) + EPSILON).log()
    return linear / headroom if wanted == "relative" else linear


def relative_truth(truth: Tensor, headroom: float, stretch: bool) -> Tensor:
    """Return the truth in the domain "relative", clipped at `headroom`.

    With `stretch`, each picture is stretched to its own extremes instead, as ExpandNet was published.
    """
    if not stretch:
        return (truth / headroom).clamp(0.0, 1.0)
    low = truth.amin(dim=(1, 2, 3), keepdim=True)
    high = truth.amax(dim=(1, 2, 3), keepdim=True)
    return (truth - low) / (high - low).clamp_min(1e-12)


def clipped_mask(truth: Tensor) -> Tensor:
    """Return HDRCNN's mask of lost highlights, N x 1 x H x W in [0, 1]: clip((max_c y* - 0.95) / 0.05) of the truth."""
    return ramp(truth.amax(dim=1, keepdim=True), 0.95, 1.0)


@lru_cache(maxsize=1)
def illumination_kernel() -> Tensor:
    """Return HDRCNN's blur, 13 x 13, whose sum is 1.

    It is the square root of an outer product of Gaussian bins that span two standard deviations, which makes it a
    Gaussian with a standard deviation of 4.2 pixels, cut off at 6.
    """
    taps, span = 13, 2.0
    reach = span + (2.0 * span + 1.0) / taps / 2.0
    edges = torch.linspace(-reach, reach, taps + 1, dtype=torch.float64)
    bins = torch.special.ndtr(edges).diff()
    kernel = torch.outer(bins, bins).sqrt()
    return (kernel / kernel.sum()).float()


def _illumination(log_light: Tensor) -> Tensor:
    """Return the blurred log luminance, N x 1 x H x W, of ln(light + epsilon); black beyond the border, as published.

    The luminance weights sum to one, so epsilon passes through them: Lum(y) + eps = Lum(y + eps).
    """
    weights = log_light.new_tensor((0.213, 0.715, 0.072)).log().view(1, 3, 1, 1)
    luminance = torch.logsumexp(log_light + weights, dim=1, keepdim=True)
    return F.conv2d(luminance, illumination_kernel().to(luminance).view(1, 1, 13, 13), padding=6)


def hdrcnn_loss(output: Tensor, truth: Tensor, sdr: Tensor, share: float = 0.5) -> Tensor:
    """Return HDRCNN's loss (ACM TOG 36(6), 2017, eq. 6-8), of illumination and reflectance, where highlights were lost.

        mean( m [ s (I - I*)^2 + (1 - s) (R - R*)^2 ] )

    `output` is in the log domain, before the blend with the SDR. I is the blurred log luminance, R the rest
    of each channel's logarithm, m `clipped_mask` of the truth, s = `share` (lambda).
    """
    wanted = (truth + EPSILON).log()
    illumination, wanted_illumination = _illumination(output), _illumination(wanted)
    reflectance = (output - illumination) - (wanted - wanted_illumination)
    error = share * (illumination - wanted_illumination).square() + (1.0 - share) * reflectance.square()
    return (clipped_mask(truth) * error).mean()


def hdrcnn_log_loss(output: Tensor, truth: Tensor, sdr: Tensor) -> Tensor:
    """Return HDRCNN's loss without the separation, eq. 5: mean(((y - ln(y* + eps)) m)^2) in the log domain."""
    return ((output - (truth + EPSILON).log()) * clipped_mask(truth)).square().mean()


def log_loss(output: Tensor, truth: Tensor, sdr: Tensor) -> Tensor:
    """Return a loss of the logarithm over every pixel: mean(w (y - ln(y* + eps))^2) / mean(w).

    w = 1 + ln(1 + max_c y*) gives the few bright pixels more weight.
    """
    weight = 1.0 + truth.amax(dim=1, keepdim=True).log1p()
    return (weight * (output - (truth + EPSILON).log()).square()).mean() / weight.mean()


def expandnet_loss(output: Tensor, truth: Tensor, sdr: Tensor) -> Tensor:
    """Return ExpandNet's loss (Eurographics 2018, eq. 3-4): L1 plus 5 times the mean of 1 - cos between RGB vectors.

    `output` and `truth` are relative, in [0, 1].
    """
    return F.l1_loss(output, truth) + 5.0 * (1.0 - F.cosine_similarity(output, truth, dim=1, eps=1e-20)).mean()


def restoration_share(sdr: Tensor) -> Tensor:
    """Return how far highlight restoration is responsible for a pixel, N x 1 x H x W in [0, 1].

    It rises smoothly with the brightest code value, from 0.6, where the shoulders of common grades begin, to 0.98,
    where a sample is as good as clipped.
    """
    place = ramp(sdr.amax(dim=1, keepdim=True), 0.6, 0.98)
    return place.square() * (3.0 - 2.0 * place)


def in_stops(light: Tensor) -> Tensor:
    """Return log2 of linear light plus `EPSILON`, which is finite for any output of a network."""
    return (light.clamp(0.0, _BRIGHTEST) + EPSILON).log2()


def _penalty(error: Tensor) -> Tensor:
    """Return a penalty of errors in stops: the square weighs large errors, such as a missed sun, and the Charbonnier
    term small ones.
    """
    square = error.square()
    return square + (square + 0.01).sqrt() - 0.1


def highlight_loss(output: Tensor, truth: Tensor, sdr: Tensor, grade: float = 1.0) -> Tensor:
    """Return a loss that restores highlights and keeps the grade elsewhere, as two terms that do not mix.

        sum(s w (p(e) + h (e - mean e)^2)) / sum(s w)  +  grade * sum((1 - s) p(log2 y - log2 x_lin)) / sum(1 - s)

    in each picture, then the mean over pictures. e = log2 y - log2 y* and its mean is over R, G and B; s is
    `restoration_share`; p(e) = e^2 + sqrt(e^2 + 0.1^2) - 0.1; h is `HUE`; x_lin is the light that a BT.1886 display
    shows; y* is clipped at `SHOWN`; w is `PAPER` where the SDR is white and the truth is just that, as on paper,
    subtitles and logos, and 1 elsewhere.

    Why it is built so:

    - How bright a sun is can only be guessed, but its colour can be seen around it. Errors of hue are a fifth of those
      of brightness and would drown in them without h.
    - Paper and the like are rare beside clipped light, and to take them for lamps is the worst of errors; hence w. If
      brighter pixels weighed more in general, everything uncertain would come out too bright.
    - In one mean over all pictures, the few with large bright windows would decide, and a batch would teach little but
      what it happened to hold.
    - A camera's unknown curve makes the truth of mid-tones differ from x_lin by an amount that nobody can know. If
      mid-tones were judged against the truth, too, that error, over most of the picture, would drown the highlights and
      the gain would collapse to nothing.
    """
    light, truth = in_stops(output), truth.clamp_max(SHOWN)
    share = restoration_share(sdr)
    paper = (sdr.amax(dim=1, keepdim=True) >= 0.98) & (truth.amax(dim=1, keepdim=True) <= 1.001)
    weight = share * torch.where(paper, PAPER, 1.0)
    error = light - in_stops(truth)
    hue = error - error.mean(dim=1, keepdim=True)
    restored = _weighted(_penalty(error) + HUE * hue.square(), weight, LEAST)
    kept = _weighted(_penalty(light - in_stops(EOTF["bt1886"](sdr))), 1.0 - share, 1e-3)
    return (restored + grade * kept).mean()


def _weighted(error: Tensor, weight: Tensor, least: float) -> Tensor:
    """Return the N weighted means of `error`. A picture whose mean weight is small beside `least` counts less."""
    return (weight * error).mean(dim=(1, 2, 3)) / (weight.mean(dim=(1, 2, 3)) + least)


@dataclass(frozen=True)
class Loss:
    """A loss and the domain of the output that it judges."""

    domain: Domain
    function: Callable[[Tensor, Tensor, Tensor], Tensor]

    def __call__(self, output: Tensor, truth: Tensor, sdr: Tensor) -> Tensor:
        return self.function(output, truth, sdr)


LOSSES: dict[str, Loss] = {
    "hdrcnn": Loss("log", hdrcnn_loss),
    "hdrcnn_log": Loss("log", hdrcnn_log_loss),
    "log": Loss("log", log_loss),
    "expandnet": Loss("relative", expandnet_loss),
    "highlight": Loss("linear", highlight_loss),
}
"""By the names that `vshdr train --loss` takes."""
