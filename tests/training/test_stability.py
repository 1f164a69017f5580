"""Stability terms of training: what they ask for, on views whose motion is known."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from skimage.metrics import structural_similarity

from vshdr.camera.pairs import Pair
from vshdr.metrics.flicker.equivariance import affine_grid
from vshdr.metrics.ssim import ssim
from vshdr.options.train import LOSS_NAMES, STABILITY_NAMES, TrainOptions
from vshdr.temporal.warp import warp
from vshdr.training.learner import Objective
from vshdr.training.losses import LOSSES
from vshdr.training.stability_terms import STABILITY, judged_mask, second_view

SIZE = 48


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(seed: int = 0, count: int = 2) -> torch.Tensor:
    """Pictures in [0, 1] that a bilinear warp hardly blurs."""
    coarse = torch.rand((count, 3, 6, 6), generator=random(seed))
    return torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic").clamp(0.0, 1.0)


def single(seed: int = 0) -> Pair:
    sdr = smooth(seed)
    return Pair(sdr=sdr, linear=sdr.pow(2.4), scene=sdr.pow(2.4), kind=["test"] * 2)


def shifted(pixels: int) -> Pair:
    """The second view shows what lies `pixels` to the right in the first."""
    pair = single()
    grid = affine_grid(2, SIZE, SIZE, random(), scale=0.0)
    grid[..., 0] += 2.0 * pixels / SIZE
    valid = (grid.abs() <= 1.0).all(dim=-1).unsqueeze(1)
    return dataclasses.replace(
        pair, second_sdr=warp(pair.sdr, grid), second_linear=warp(pair.linear, grid), grid=grid, valid=valid
    )


def everywhere(pair: Pair) -> torch.Tensor:
    return judged_mask(pair.linear, highlights_only=False)


def test_no_motion_warps_nothing():
    pair = second_view(single(), "noise", random())
    assert torch.allclose(warp(pair.sdr, pair.grid), pair.sdr, atol=1e-5)
    assert pair.valid.all()


def test_affine_transforms_stay_in_the_published_ranges():
    grid = affine_grid(400, SIZE, SIZE, random())
    still = affine_grid(1, SIZE, SIZE, random(), scale=0.0)
    motion = (grid - still) * SIZE / 2
    # In the middle only the translation is left, stretched by at most zoom, turn and shear.
    middle = motion[:, SIZE // 2 - 1 : SIZE // 2 + 1, SIZE // 2 - 1 : SIZE // 2 + 1].mean(dim=(1, 2))
    assert 1.8 < middle.abs().max() < 2.2 and middle.mean().abs() < 0.2
    # Between two neighbours lies the zoom, and the turn and shear of two degrees at most.
    across = (grid[:, 0, 1] - grid[:, 0, 0]) * SIZE / 2
    assert 0.969 < across[:, 0].min() < 0.975 and 1.025 < across[:, 0].max() < 1.031
    assert across[:, 1].abs().max() <= math.tan(math.radians(2.0)) * 1.03
    double = affine_grid(400, SIZE, SIZE, random(), scale=2.0)
    assert torch.allclose((double - still).abs().max() / (grid - still).abs().max(), torch.tensor(2.0), rtol=0.05)


def test_affine_transforms_bend_about_the_centre():
    """Opposite corners stay opposite, and about as far apart."""
    grid = affine_grid(64, SIZE, SIZE, random(3))
    corner = torch.linalg.norm(grid[:, 0, 0] - grid[:, -1, -1], dim=-1)
    straight = math.hypot(2.0, 2.0) * (SIZE - 1) / SIZE
    assert ((corner / straight - 1.0).abs() < 0.07).all()
    centre = (grid[:, 0, 0] + grid[:, -1, -1]) / 2
    assert (centre.abs() < 2.2 * 2.0 / SIZE).all()


def test_second_views_are_seeded_and_noisy_where_asked():
    pair = single()
    first, again = (second_view(pair, "affine+noise", random(7)) for _ in range(2))
    assert torch.equal(first.second_sdr, again.second_sdr)
    assert 0.0 <= first.second_sdr.min() and first.second_sdr.max() <= 1.0
    plain = second_view(pair, "affine", random(7))
    # CVPR 2019 shears both ways, the temporally stable ExpandNet rows only.
    assert torch.equal(plain.grid[..., 0], first.grid[..., 0]) and not torch.equal(plain.grid, first.grid)
    inside = plain.valid.expand_as(plain.second_sdr)
    assert (plain.second_sdr - warp(pair.sdr, plain.grid)).abs()[..., 2:-2, 2:-2][inside[..., 2:-2, 2:-2]].max() < 1e-5
    clean = warp(pair.sdr, first.grid)
    deviation = (first.second_sdr - clean)[(clean > 0.2) & (clean < 0.8) & first.valid].std()
    assert 0.009 < deviation < 0.051
    noise = second_view(pair, "noise", random(7))
    assert 0.008 < (noise.second_sdr - pair.sdr).std() < 0.051 and torch.equal(noise.second_linear, pair.linear)


@pytest.mark.parametrize(
    "name", ["transform", "noise", "highlight", "l1_warped", "l2_warped", "rec_warped", "ssim_warped"]
)
def test_a_steady_network_costs_nothing_where_outputs_are_warped(name):
    pair, term = shifted(3), STABILITY[name]
    steady = term(pair.sdr, pair.second_sdr, pair, everywhere(pair))
    frozen = term(pair.sdr, pair.sdr, pair, everywhere(pair))
    least = -1.0 if name == "ssim_warped" else 0.0
    assert float(steady) == pytest.approx(least, abs=2e-5)
    assert frozen > steady + 1e-3


@pytest.mark.parametrize("name", ["l1", "l2", "rec", "ssim"])
def test_published_terms_ask_for_an_output_that_does_not_move(name):
    pair, term = shifted(3), STABILITY[name]
    frozen = term(pair.sdr, pair.sdr, pair, everywhere(pair))
    assert frozen < term(pair.sdr, pair.second_sdr, pair, everywhere(pair)) - 1e-3


def test_terms_have_their_published_values_and_weights():
    pair = second_view(single(), "noise", random())
    a = torch.tensor([0.6, 0.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, SIZE, SIZE)
    b = torch.tensor([0.3, 0.4, 0.0]).view(1, 3, 1, 1).expand(2, 3, SIZE, SIZE)
    expected = {"l1": (0.7 / 3, 0.40), "l2": (0.25 / 3, 0.80), "rec": (0.7 / 3 + 5 * 0.4, 0.38)}
    for name, (value, alpha) in expected.items():
        for variant in (name, f"{name}_warped"):
            assert float(STABILITY[variant](a, b, pair, everywhere(pair))) == pytest.approx(value, rel=1e-4)
            assert STABILITY[variant].alpha == alpha
    assert STABILITY["ssim"].alpha == STABILITY["ssim_warped"].alpha == 0.10
    assert STABILITY["transform"].alpha == STABILITY["sparse_jacobian"].alpha == 0.95


def test_transform_counts_only_what_the_mask_and_the_first_view_cover():
    pair = shifted(3)
    mask = torch.zeros(2, 1, SIZE, SIZE)
    mask[..., 10, 20] = 1.0  # in the second view at column 17
    second = warp(pair.sdr, pair.grid)
    second[..., 10, 17] += 0.5
    second[..., 30:, :] += 9.0
    assert float(STABILITY["transform"](pair.sdr, second, pair, mask)) == pytest.approx(0.25 / SIZE**2, rel=1e-3)
    beyond = warp(pair.sdr, pair.grid)
    beyond[..., -3:] += 9.0  # the first view does not reach there
    assert float(STABILITY["transform"](pair.sdr, beyond, pair, everywhere(pair))) < 1e-8


def test_highlight_judges_highlights_alone_in_squared_stops():
    pair, term = shifted(3), STABILITY["highlight"]
    first, second = (view.clamp_min(0.05) for view in (pair.sdr, pair.second_sdr))  # black cannot brighten
    dark = (second.amax(dim=1, keepdim=True) < 0.55).expand_as(second)
    assert dark.any() and not dark.all()
    flickering = torch.where(dark, 4.0 * second, second)
    assert float(term(first, flickering, pair, everywhere(pair))) == pytest.approx(0.0, abs=1e-4)
    assert float(term(64.0 * first, 128.0 * second, pair, everywhere(pair))) == pytest.approx(1.0, rel=0.02)
    tint = torch.tensor([2.0, 0.5, 1.0]).view(3, 1, 1)  # as bright as before
    assert float(term(64.0 * first, 64.0 * tint * second, pair, everywhere(pair))) == pytest.approx(0.0, abs=1e-3)


def test_sparse_jacobian_lets_the_output_change_as_the_truth_does():
    pair, term = shifted(3), STABILITY["sparse_jacobian"]
    first, second = ((light + 1 / 255).log() for light in (pair.linear, pair.second_linear))
    mask = everywhere(pair)
    assert float(term(first, second, pair, mask)) == pytest.approx(0.0, abs=1e-8)
    assert float(term(first + 2.0, second + 2.0, pair, mask)) == pytest.approx(0.0, abs=1e-8)
    seen = pair.valid.float().mean()
    assert float(term(first, second + 0.5, pair, mask)) == pytest.approx(0.25 * float(seen), rel=1e-4)


def test_ssim_is_that_of_wang():
    a, b = smooth(0, count=1), smooth(1, count=1)
    _, expected = structural_similarity(  # pyright: ignore[reportAssignmentType, reportGeneralTypeIssues]  by `full`
        a[0].double().numpy(),
        b[0].double().numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    # Windows of 11 taps that lie wholly inside.
    assert float(ssim(a, b)) == pytest.approx(expected[:, 5:-5, 5:-5].mean(), abs=1e-4)
    assert float(ssim(a, a)) == pytest.approx(1.0, abs=1e-6)


def test_both_views_get_gradients():
    pair = shifted(2)
    for name, term in STABILITY.items():
        first, second = (view.clone().requires_grad_() for view in (0.9 * pair.sdr + 0.05, 0.8 * pair.second_sdr + 0.1))
        term(first, second, pair, everywhere(pair)).backward()
        assert torch.isfinite(first.grad).all() and first.grad.abs().sum() > 0.0, name
        assert torch.isfinite(second.grad).all() and second.grad.abs().sum() > 0.0, name


@pytest.mark.parametrize(("name", "both"), [("highlight", True), ("transform", False)])
def test_reconstruction_judges_both_views_only_where_the_term_says_so(name, both):
    pair = shifted(2)
    pair = dataclasses.replace(pair, second_linear=4.0 * pair.second_linear)  # so that the views have other losses

    def learner(first, second):
        return first.pow(2.2), second.pow(2.2), "linear"

    objective = Objective("highlight", name, headroom=5.0)
    parts = objective(learner, pair, torch.autocast("cpu", enabled=False))
    views = [(pair.sdr, pair.linear), (pair.second_sdr, pair.second_linear)] if both else [(pair.sdr, pair.linear)]
    sdr, truth = (torch.cat(part) for part in zip(*views, strict=True))
    assert float(parts["reconstruction"]) == pytest.approx(float(LOSSES["highlight"](sdr.pow(2.2), truth, sdr)))


def test_highlight_networks_answer_for_lost_highlights():
    truth = torch.tensor([0.5, 0.975, 4.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert torch.allclose(judged_mask(truth, highlights_only=True).flatten(), torch.tensor([0.0, 0.5, 1.0]), atol=1e-6)
    assert judged_mask(truth, highlights_only=False).eq(1.0).all()


def test_every_loss_and_term_can_be_asked_for_and_no_other():
    assert set(LOSS_NAMES) == set(LOSSES)
    assert set(STABILITY_NAMES) == set(STABILITY)
    for name in STABILITY:
        assert TrainOptions(phase="stability", stability=name).stability == name
    with pytest.raises(ValueError, match="stability must be one of"):
        TrainOptions(phase="stability", stability="quiet")
