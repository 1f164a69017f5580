"""Stability terms: they make a network steady over time, by comparing what it makes of two views of one scene.

A `Pair` of the camera holds a first view, a second view under a small known motion, the grid that warps pictures of the
first onto the second, and a mask of where that is valid. Where the camera gave no second view, `second_view` makes one
from the first, by the transforms that the publications draw.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.metrics.flicker.equivariance import affine_grid
from vshdr.metrics.ssim import ssim
from vshdr.models.contract import EPSILON, Domain
from vshdr.temporal.warp import warp
from vshdr.training.losses import clipped_mask, in_stops, restoration_share

if TYPE_CHECKING:
    from vshdr.camera.pairs import Pair


def second_view(pair: Pair, motion: str, generator: torch.Generator, scale: float = 1.0) -> Pair:
    """Return `pair` with a second view made from the first.

    `motion` is one of three. "noise": nothing moves. "affine": `affine_grid`, bilinear, black beyond the border,
    sheared along rows only as in the temporally stable ExpandNet. "affine+noise": the same, sheared both ways as in
    CVPR 2019. `scale` is a factor of all ranges of motion. The noise is Gaussian; its standard deviation is drawn from
    U[0.01, 0.05] in code values, once for the batch, and the sum is clipped to [0, 1].
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


class SecondView(NamedTuple):
    """The second half of a `Pair`; see there."""

    sdr: Tensor
    linear: Tensor
    grid: Tensor
    valid: Tensor


def second_of(pair: Pair) -> SecondView:
    """Return the second view of a pair that has one."""
    sdr, linear, grid, valid = pair.second_sdr, pair.second_linear, pair.grid, pair.valid
    assert sdr is not None and linear is not None and grid is not None and valid is not None, "no second view"
    return SecondView(sdr, linear, grid, valid)


def transform(first: Tensor, second: Tensor, pair: Pair, mask: Tensor) -> Tensor:
    """Return the coherence under transforms, CVPR 2019, eq. 6: mean(((f(T x + n) - T f(x)) T(m))^2), log domain."""
    view = second_of(pair)
    weight = warp(mask, view.grid) * view.valid
    return ((second - warp(first, view.grid)) * weight).square().mean()


def sparse_jacobian(first: Tensor, second: Tensor, pair: Pair, mask: Tensor) -> Tensor:
    """Return the sparse Jacobian, CVPR 2019, eq. 9, log domain: the output may change as the truth does, and no more.

    mean( ((f(T x + n) - f(x)) - (ln T(y*) - ln y*))^2 max(m, T(m))^2 )
    """
    view = second_of(pair)
    wanted = (view.linear + EPSILON).log() - (pair.linear + EPSILON).log()
    weight = torch.maximum(mask, warp(mask, view.grid)) * view.valid
    return (((second - first) - wanted) * weight).square().mean()


def highlight(first: Tensor, second: Tensor, pair: Pair, mask: Tensor) -> Tensor:
    """Return the coherence of the brightness of restored highlights alone, in squared stops.

        sum(s (L(f(T x)) - L(T f(x)))^2) / sum(s)

    L is log2 of the geometric mean of R, G and B, and s is `restoration_share` of the second view, as in
    `highlight_loss`. A mean over all pixels, as in `transform`, would be mostly the noise of mid-tones, which such a
    network passes on and cannot lower. Comparing each channel would make the network treat channels alike, and a sunset
    that should turn orange stays yellow. Comparing luminance would make it avoid green gain, and white turns pink.
    """
    view = second_of(pair)
    weight = restoration_share(view.sdr) * view.valid
    difference = (in_stops(second) - in_stops(warp(first, view.grid))).mean(dim=1, keepdim=True)
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
    """Return a term that asks the output of the moved view to equal that of the first, as published with the temporally
    stable ExpandNet.
    """
    return lambda first, second, pair, mask: compare(first, second)


def _equivariant(compare: Compare) -> Term:
    """Return a term that asks the output to move as the picture does: the first output is warped onto the second.

    Where the first view shows nothing of the second, the second is compared with itself.
    """

    def term(first: Tensor, second: Tensor, pair: Pair, mask: Tensor) -> Tensor:
        view = second_of(pair)
        return compare(torch.where(view.valid, warp(first, view.grid), second), second)

    return term


@dataclass(frozen=True, kw_only=True)
class Stability:
    """A stability term: the loss becomes (1 - alpha) * reconstruction + alpha * term."""

    function: Term
    """Called with the network's outputs for the first and the second view, in `domain`, the pair, and the mask of
    `judged_mask`, N x 1 x H x W."""
    domain: Domain
    """Of the outputs that it compares."""
    alpha: float
    """The published share in the loss."""
    motion: str
    """The motion of `second_view` where the camera gives no second view. A term with "noise" never takes the
    camera's."""
    both: bool = False
    """Whether the reconstruction loss judges the second view, too, whose output is there anyway. The publications judge
    the first alone."""

    def __call__(self, first: Tensor, second: Tensor, pair: Pair, mask: Tensor) -> Tensor:
        return self.function(first, second, pair, mask)


def _expandnet_term(function: Term, alpha: float) -> Stability:
    return Stability(function=function, domain="relative", alpha=alpha, motion="affine")


# The shares of kacperkk2/temporalStableExpandNet, which were tuned for the invariant terms.
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
"""By the names that `vshdr train --stability` takes. l1, l2, rec and ssim ask for invariance, as published, and their
_warped forms for equivariance."""


def needs_own_view(term: Stability, pair: Pair) -> bool:
    """Return whether `second_view` must be called: the camera gave no second view, or the term is about noise alone."""
    return term.motion == "noise" or pair.second_sdr is None


def judged_mask(truth: Tensor, highlights_only: bool) -> Tensor:
    """Return the mask of what a stability term judges, N x 1 x H x W in [0, 1]: lost highlights, or every pixel."""
    return clipped_mask(truth) if highlights_only else torch.ones_like(truth[:, :1])
