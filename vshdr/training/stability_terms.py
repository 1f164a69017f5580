"""What makes a network quiet over time: terms that compare what it makes of two views of one scene.

A `Pair` of the camera holds the first view, a second one under a small known motion, the grid that warps
pictures of the first onto the second, and where that is valid. `second_view` makes the second one by the
transforms that the publications draw, where the camera gave none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.metrics.flicker.equivariance import affine_grid
from vshdr.metrics.ssim import ssim
from vshdr.temporal.warp import warp
from vshdr.training.losses import EPSILON, Domain, clipped_mask, in_stops, restoration_share

if TYPE_CHECKING:
    from vshdr.camera.pairs import Pair


def second_view(pair: Pair, motion: str, generator: torch.Generator, scale: float = 1.0) -> Pair:
    """`pair` with a second view made from the first.

    `motion` is "noise" (nothing moves), "affine" (`affine_grid`, bilinear, black beyond the border; sheared along
    rows only, as the temporally stable ExpandNet has it) or "affine+noise" (sheared both ways, as CVPR 2019 has it).
    `scale` is a factor of all ranges of motion. The noise is Gaussian, its standard deviation U[0.01, 0.05] in code
    values, one for the batch; the sum is clipped to [0, 1].
    """
    sdr, linear = pair.sdr, pair.linear
    count, _, height, width = sdr.shape
    if motion == "noise":
        grid = affine_grid(count, height, width, generator, scale=0.0)
        moved, moved_linear = sdr, linear
    else:
        grid = affine_grid(count, height, width, generator, scale, shear_down=float(motion == "affine+noise"))
        moved, moved_linear = (F.grid_sample(picture, grid, align_corners=False) for picture in (sdr, linear))
    if "noise" in motion:
        low, high = 0.01, 0.05
        deviation = low + (high - low) * torch.rand((), generator=generator, device=sdr.device)
        grain = torch.randn(sdr.shape, generator=generator, device=sdr.device)
        moved = (moved + deviation * grain).clamp(0.0, 1.0)
    valid = (grid.abs() <= 1.0).all(dim=-1).unsqueeze(1)
    return dataclasses.replace(pair, second_sdr=moved, second_linear=moved_linear, grid=grid, valid=valid)


def transform(first: Tensor, second: Tensor, pair: Pair, mask: Tensor) -> Tensor:
    """Coherence under transforms, CVPR 2019, eq. 6: mean(((f(T x + n) - T f(x)) T(m))^2), log domain."""
    weight = warp(mask, pair.grid) * pair.valid
    return ((second - warp(first, pair.grid)) * weight).square().mean()


def sparse_jacobian(first: Tensor, second: Tensor, pair: Pair, mask: Tensor) -> Tensor:
    """Return the sparse Jacobian, CVPR 2019, eq. 9: outputs may change as the truth does and no more, log domain.

    mean( ((f(T x + n) - f(x)) - (ln T(y*) - ln y*))^2 max(m, T(m))^2 )
    """
    wanted = (pair.second_linear + EPSILON).log() - (pair.linear + EPSILON).log()
    weight = torch.maximum(mask, warp(mask, pair.grid)) * pair.valid
    return (((second - first) - wanted) * weight).square().mean()


def highlight(first: Tensor, second: Tensor, pair: Pair, mask: Tensor) -> Tensor:
    """For `gainmap`: coherence as in `transform`, of the brightness of restored highlights alone, in squared stops.

        sum(s (L(f(T x)) - L(T f(x)))^2) / sum(s)

    with L = log2 of the geometric mean of R, G and B, and s = `restoration_share` of the second view, as in the loss it
    goes with. A mean over all pixels is mostly the noise of mid-tones, which such a network passes on and cannot lower.
    Held to every channel, it would rather not tell them apart, and a sunset stays yellow that should turn orange;
    held to luminance, it would rather not lift green, and white turns pink.
    """
    weight = restoration_share(pair.second_sdr) * pair.valid
    difference = (in_stops(second) - in_stops(warp(first, pair.grid))).mean(dim=1, keepdim=True)
    return (weight * difference.square()).mean() / (weight.mean() + 1e-3)


def _l1(first: Tensor, second: Tensor) -> Tensor:
    return F.l1_loss(second, first)


def _l2(first: Tensor, second: Tensor) -> Tensor:
    return F.mse_loss(second, first)


def _rec(first: Tensor, second: Tensor) -> Tensor:
    return F.l1_loss(second, first) + 5.0 * (1.0 - F.cosine_similarity(second, first, dim=1, eps=1e-20)).mean()


def _ssim(first: Tensor, second: Tensor) -> Tensor:
    return -ssim(first, second)


Compare = Callable[[Tensor, Tensor], Tensor]
Term = Callable[[Tensor, Tensor, "Pair", Tensor], Tensor]


def _invariant(compare: Compare) -> Term:
    """As published with the temporally stable ExpandNet: the moved view must look like the one that was not."""
    return lambda first, second, pair, mask: compare(first, second)


def _equivariant(compare: Compare) -> Term:
    """Return the same with the first output warped onto the second: the output must move as the picture does.

    Where the first view shows nothing of the second, the second is compared with itself.
    """
    return lambda first, second, pair, mask: compare(torch.where(pair.valid, warp(first, pair.grid), second), second)


@dataclass(frozen=True, kw_only=True)
class Stability:
    """A stability term: the loss becomes (1 - alpha) * reconstruction + alpha * term."""

    function: Term
    """Called with what the network made of the first and the second view, in `domain`, the pair and the mask
    (N x 1 x H x W) of what the network answers for."""
    domain: Domain
    alpha: float
    """The published weight."""
    motion: str
    """What `second_view` must do where the camera gives no second view. "noise" never takes the camera's."""
    both: bool = False
    """Whether the reconstruction loss judges the second view as well, which costs nothing: the publications judge the
    first alone."""

    def __call__(self, first: Tensor, second: Tensor, pair: Pair, mask: Tensor) -> Tensor:
        return self.function(first, second, pair, mask)


def _expandnet_term(function: Term, alpha: float) -> Stability:
    return Stability(function=function, domain="relative", alpha=alpha, motion="affine")


# The weights of kacperkk2/temporalStableExpandNet, found there for the terms as published.
_PUBLISHED = {"l1": (_l1, 0.40), "l2": (_l2, 0.80), "rec": (_rec, 0.38), "ssim": (_ssim, 0.10)}

STABILITY: dict[str, Stability] = {
    "transform": Stability(function=transform, domain="log", alpha=0.95, motion="affine+noise"),
    "sparse_jacobian": Stability(function=sparse_jacobian, domain="log", alpha=0.95, motion="affine+noise"),
    "highlight": Stability(function=highlight, domain="linear", alpha=0.95, motion="affine", both=True),
    # Zheng et al., "Improving the robustness of deep neural networks via stability training", CVPR 2016.
    "noise": Stability(function=transform, domain="log", alpha=0.95, motion="noise"),
    **{name: _expandnet_term(_invariant(compare), alpha) for name, (compare, alpha) in _PUBLISHED.items()},
    **{
        f"{name}_warped": _expandnet_term(_equivariant(compare), alpha) for name, (compare, alpha) in _PUBLISHED.items()
    },
}
"""By the name that `vshdr train --stability` takes. l1, l2, rec and ssim ask for invariance, as published;
their _warped forms for equivariance."""


def needs_own_view(term: Stability, pair: Pair) -> bool:
    """Return whether `second_view` must be called: the camera gave no second view, or the term is about noise alone."""
    return term.motion == "noise" or pair.second_sdr is None


def answered_for(truth: Tensor, highlights_only: bool) -> Tensor:
    """Return the mask of a stability term, N x 1 x H x W: HDRCNN's of lost highlights, or every pixel."""
    return clipped_mask(truth) if highlights_only else torch.ones_like(truth[:, :1])
