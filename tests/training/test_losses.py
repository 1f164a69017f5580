"""Losses of training against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from vshdr.colour.transfer import EOTF
from vshdr.models.contract import EPSILON
from vshdr.training.losses import (
    HUE,
    LEAST,
    LOSSES,
    PAPER,
    SHOWN,
    clipped_mask,
    illumination_kernel,
    relative_truth,
    restoration_share,
    to_domain,
)


def flat(*rgb: float, size: int = 16) -> torch.Tensor:
    """A picture of one colour."""
    return torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, size, size).clone()


def picture(seed: int = 0, size: int = 16) -> torch.Tensor:
    return torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(seed))


def log(linear: torch.Tensor) -> torch.Tensor:
    return (linear + 1 / 255).log()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_least_for_the_truth_and_pulls_towards_it(name):
    truth = 3.0 * picture(0) + 0.2
    sdr = truth.clamp(0.0, 1.0).pow(1 / 2.4)
    loss = LOSSES[name]
    wanted = relative_truth(truth, 5.0, stretch=False) if loss.domain == "relative" else truth
    perfect = to_domain(truth, "linear", loss.domain, 5.0)
    output = (perfect + 0.3 * picture(1)).requires_grad_()
    far = loss(output, wanted, sdr)
    far.backward()
    assert loss(perfect, wanted, sdr) < 0.01 * far
    assert torch.isfinite(output.grad).all()
    assert loss(output - 1e-3 * output.grad / output.grad.norm(), wanted, sdr) < far


def test_mask_rises_over_the_last_twentieth_below_white():
    truth = torch.tensor([0.0, 0.95, 0.975, 1.0, 7.0]).view(1, 1, 1, 5) * torch.tensor([0.2, 1.0, 0.1]).view(1, 3, 1, 1)
    assert torch.allclose(clipped_mask(truth).flatten(), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]), atol=1e-6)


def test_illumination_kernel_is_the_published_one():
    kernel = illumination_kernel().double()
    offset = torch.arange(13.0, dtype=torch.float64) - 6.0
    assert kernel.shape == (13, 13) and kernel.sum() == pytest.approx(1.0)
    assert kernel.sum(0) @ offset.square() == pytest.approx(3.19**2, rel=1e-2)
    gaussian = torch.exp(-offset.square() / (2 * 4.2**2))
    assert torch.allclose(kernel.sum(0) / kernel.sum(0)[6], gaussian, atol=3e-3)


def test_hdrcnn_loss_weighs_illumination_and_reflectance():
    """One colour, so that within the kernel's reach of no border the blur changes nothing: I is the log
    luminance itself and R the rest. A picture twice as bright differs in I alone, one of another hue in R.
    """
    truth = flat(2.0, 2.0, 2.0, size=13)
    mask = torch.zeros_like(truth)
    mask[..., 6, 6] = 1.0
    truth = torch.where(mask > 0, truth, 0.0)  # the mask of the truth lets one pixel count
    shift = 0.5
    output = log(truth) + shift
    # The blur of a constant shift is the shift, for the kernel reaches just to the border.
    centre = LOSSES["hdrcnn"](output, truth, truth)
    assert float(centre) == pytest.approx(0.5 * shift**2 / 13**2, rel=1e-3)

    tint = torch.tensor([0.3, -0.1, 0.2]).view(1, 3, 1, 1)
    weights = torch.tensor([0.213, 0.715, 0.072]).view(1, 3, 1, 1)
    light = log(truth) + tint
    luminance = ((light.exp() * weights).sum(1) / ((truth + 1 / 255) * weights).sum(1)).log()[0, 6, 6]
    expected = 0.5 * luminance**2 + 0.5 * (tint.flatten() - luminance).square().mean()
    assert float(LOSSES["hdrcnn"](light, truth, truth)) == pytest.approx(float(expected) / 13**2, rel=1e-3)


def test_hdrcnn_losses_see_lost_highlights_only():
    truth = picture() * 0.9
    for name in ("hdrcnn", "hdrcnn_log"):
        assert LOSSES[name](log(truth) + 1.0, truth, truth) == 0.0
    truth[0, 0, 4, 5] = 3.0
    wrong = log(truth)
    wrong[0, :, 4, 5] += torch.tensor([1.0, 2.0, 0.0])
    assert float(LOSSES["hdrcnn_log"](wrong, truth, truth)) == pytest.approx(5.0 / truth.numel(), rel=1e-5)


def test_log_loss_weighs_bright_pixels():
    truth = flat(0.5, 0.2, 0.1, size=2)
    truth[..., 0, 0] = math.e**2 - 1.0  # weight 3, the other three pixels 1 + ln 1.5
    output = log(truth)
    output[..., 0, 0] += 0.7
    weight = 1.0 + math.log(1.5)
    assert float(LOSSES["log"](output, truth, truth)) == pytest.approx(3 * 0.49 / (3 + 3 * weight), rel=1e-5)


def test_expandnet_loss_is_l1_and_five_times_the_angle():
    truth, output = flat(0.6, 0.0, 0.0), flat(0.3, 0.4, 0.0)
    l1 = (0.3 + 0.4 + 0.0) / 3
    assert float(LOSSES["expandnet"](output, truth, truth)) == pytest.approx(l1 + 5 * (1 - 0.6), rel=1e-6)
    black = torch.zeros(1, 3, 4, 4, requires_grad=True)
    LOSSES["expandnet"](black, flat(0.5, 0.5, 0.5, size=4), None).backward()
    assert torch.isfinite(black.grad).all()


def test_highlight_loss_of_a_clipped_page():
    sdr, truth = flat(1.0, 1.0, 1.0), flat(7.0, 7.0, 7.0)
    output = 2.0 * (truth + EPSILON) - EPSILON  # a stop too bright everywhere
    share = 1.0 / (1.0 + LEAST)
    expected = share * (1.0 + math.sqrt(1.01) - 0.1)
    assert float(LOSSES["highlight"](output, truth, sdr)) == pytest.approx(expected, rel=1e-4)


def test_highlight_loss_minds_a_wrong_colour_more_than_a_wrong_brightness():
    sdr, truth = flat(1.0, 1.0, 1.0), flat(7.0, 7.0, 7.0)
    stops = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)
    output = torch.exp2(stops) * (truth + EPSILON) - EPSILON
    share = 1.0 / (1.0 + LEAST)
    expected = share * 2 / 3 * ((1.0 + math.sqrt(1.01) - 0.1) + HUE)
    assert float(LOSSES["highlight"](output, truth, sdr)) == pytest.approx(expected, rel=1e-4)


def test_highlight_loss_minds_paper_that_is_taken_for_a_lamp():
    sdr, truth = flat(1.0, 1.0, 1.0, size=2), flat(1.0, 1.0, 1.0, size=2)
    truth[..., 0] = 7.0  # half of the white is a lamp, half is paper
    output = truth.clone()
    output[..., 1] = 2.0 * (1.0 + EPSILON) - EPSILON  # a stop too bright
    share = 0.5 * PAPER / (0.5 * (PAPER + 1.0) + LEAST)
    expected = share * (1.0 + math.sqrt(1.01) - 0.1)
    assert float(LOSSES["highlight"](output, truth, sdr)) == pytest.approx(expected, rel=1e-4)


def test_a_small_highlight_counts_as_much_as_a_large_one():
    """In each picture a tenth, a quarter or all of it is clipped, and a stop too dark."""
    sdr = torch.full((3, 3, 1, 20), 0.5)
    sdr[0, ..., :2] = sdr[1, ..., :5] = sdr[2] = 1.0
    truth = torch.where(sdr == 1.0, 2.0 * (1.0 + EPSILON) - EPSILON, EOTF["bt1886"](sdr))
    loss = LOSSES["highlight"]
    each = [float(loss(EOTF["bt1886"](sdr[n, None]), truth[n, None], sdr[n, None])) for n in range(3)]
    assert min(each) > 0.9 * max(each)
    assert float(loss(EOTF["bt1886"](sdr), truth, sdr)) == pytest.approx(sum(each) / 3, rel=1e-5)


def test_highlight_loss_keeps_the_grade_whatever_the_truth_of_mid_tones():
    """The best light for an unclipped pixel is what the display shows, though the camera saw another."""
    sdr = 0.55 * picture(3)
    shown = EOTF["bt1886"](sdr)
    loss = LOSSES["highlight"]
    assert float(loss(shown, 3.0 * shown, sdr)) == pytest.approx(0.0, abs=1e-6)
    assert float(loss(3.0 * shown, 3.0 * shown, sdr)) > 0.5


def test_mid_tones_do_not_drown_a_highlight():
    """The pull on the few clipped pixels is the same whether the unclipped rest is wrong or not."""
    sdr = torch.full((1, 3, 32, 32), 0.5)
    sdr[..., :4, :4] = 1.0
    truth = torch.where(sdr == 1.0, 8.0, 2.0 * EOTF["bt1886"](sdr))
    pulls = []
    for factor in (1.0, 3.0):
        output = (EOTF["bt1886"](sdr) * torch.where(sdr == 1.0, 1.0, factor)).requires_grad_()
        LOSSES["highlight"](output, truth, sdr).backward()
        pulls.append(output.grad[..., :4, :4].clone())
    assert torch.allclose(*pulls) and pulls[0].sum() < -1.0


def test_wild_light_gives_a_finite_loss():
    sdr = picture()
    for value in (-5.0, 0.0, 1e30, math.inf):
        output = torch.full_like(sdr, value, requires_grad=True)
        loss = LOSSES["highlight"](output, sdr + 1.0, sdr)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(output.grad).all()


def test_nobody_sees_how_bright_the_sun_is():
    sdr = flat(1.0, 1.0, 1.0)
    loss = LOSSES["highlight"](flat(SHOWN, SHOWN, SHOWN), flat(9e3, 6e3, 4e3), sdr)
    assert float(loss) == pytest.approx(0.0, abs=1e-6)


def test_restoration_begins_where_shoulders_do():
    codes = torch.tensor([0.0, 0.6, 0.79, 0.98, 1.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert torch.allclose(restoration_share(codes).flatten(), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]), atol=1e-6)


def test_domains_lead_to_each_other():
    light = 4.0 * picture()
    for domain in ("linear", "log", "relative"):
        there = to_domain(light, "linear", domain, headroom=5.0)
        assert torch.allclose(to_domain(there, domain, "linear", headroom=5.0), light, atol=1e-4)
    assert torch.allclose(to_domain(light, "linear", "log", 5.0), log(light))
    assert torch.isfinite(to_domain(torch.full((1,), 200.0), "log", "relative", 5.0)).all()


def test_relative_truth_is_anchored_unless_it_is_stretched():
    truth = torch.stack((picture()[0], 9.0 * picture()[0] + 1.0))
    anchored = relative_truth(truth, 5.0, stretch=False)
    assert torch.allclose(anchored, (truth / 5.0).clamp_max(1.0))
    stretched = relative_truth(truth, 5.0, stretch=True)
    assert torch.allclose(stretched[0], stretched[1], atol=1e-5)
    assert (stretched.amin(dim=(1, 2, 3)) == 0.0).all() and (stretched.amax(dim=(1, 2, 3)) == 1.0).all()
