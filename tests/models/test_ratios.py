"""Colour that is carried on into clipped areas."""

import pytest
import torch
import torch.nn.functional as F

from vshdr.colour.transfer import EOTF, INVERSE_EOTF
from vshdr.models.ratios import carried_ratios, told_by_others

CELL = 4
ORANGE, TEAL = torch.tensor([1.0, 0.6, 0.2]), torch.tensor([0.2, 0.6, 0.8])


def glow(colour: torch.Tensor, brightest: float) -> torch.Tensor:
    """Light of one colour that falls off around the middle, 1 x 3 x 128 x 192, 0.05 to `brightest` times `colour`."""
    down, across = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1.5, 1.5, 192), indexing="ij")
    return ((0.05 + (brightest - 0.05) * torch.exp(-4 * (down**2 + across**2))) * colour[:, None, None])[None]


def enlarged(ratios: torch.Tensor) -> torch.Tensor:
    return F.interpolate(ratios, scale_factor=CELL, mode="bilinear")


def ratios_of(colour: torch.Tensor) -> torch.Tensor:
    return (colour[:2] / colour[1:]).log2()


def test_light_of_one_colour_is_restored_until_the_last_channel_clips():
    light = glow(ORANGE, 4.0)
    sdr = INVERSE_EOTF["bt1886"](light.clamp(0, 1))
    ratios, _ = carried_ratios(sdr, CELL)
    restored = EOTF["bt1886"](sdr) * torch.exp2(told_by_others(sdr, enlarged(ratios)))
    told = (sdr.amax(dim=1, keepdim=True) == 1.0) & (sdr.amin(dim=1, keepdim=True) < 1.0)
    told = told.expand_as(light)
    assert told.float().mean() > 0.1 and light[told].max() > 3.0
    torch.testing.assert_close(restored[told], light[told], rtol=0.02, atol=0)


def test_nothing_is_told_where_nothing_has_clipped():
    light = glow(TEAL, 0.9)
    sdr = INVERSE_EOTF["bt1886"](light)
    ratios, known = carried_ratios(sdr, CELL)
    assert told_by_others(sdr, enlarged(ratios)).max() < 0.01
    bright = known[:, :1].amax(dim=1, keepdim=True).expand_as(ratios) > 0.99
    assert bright.any()
    wanted = ratios_of(TEAL)[:, None, None].expand_as(ratios)
    torch.testing.assert_close(ratios[bright], wanted[bright], atol=1e-3, rtol=0)


def test_what_lies_nearest_counts_most():
    sdr = torch.ones(1, 3, 64, 192)
    for columns, colour in ((slice(0, 48), ORANGE), (slice(144, 192), TEAL)):
        sdr[..., columns] = INVERSE_EOTF["bt1886"](0.7 * colour)[:, None, None]
    ratios, known = carried_ratios(sdr, CELL)
    assert known[..., 12:36].max() < 1e-5 < 0.99 < known[..., :12].min()
    left, right = ratios_of(ORANGE), ratios_of(TEAL)
    torch.testing.assert_close(ratios[0, :, 8, 2], left, atol=1e-3, rtol=0)
    torch.testing.assert_close(ratios[0, :, 8, -3], right, atol=1e-3, rtol=0)
    near_left, near_right = ratios[0, :, 8, 13], ratios[0, :, 8, 34]
    assert (near_left - left).norm() < 0.3 * (near_left - right).norm()
    assert (near_right - right).norm() < 0.3 * (near_right - left).norm()


@pytest.mark.parametrize("code", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("size", [(4, 4), (36, 52)])
def test_grey_tells_nothing(code, size):
    picture = torch.full((1, 3, *size), code)
    ratios, _ = carried_ratios(picture, CELL)
    assert ratios.shape == (1, 2, size[0] // CELL, size[1] // CELL) and not ratios.any()
    assert not told_by_others(picture, enlarged(ratios)).any()


def test_dark_channels_stay_finite():
    picture = torch.zeros(1, 3, 32, 32)
    picture[:, 0] = 1.0  # red clipped, and nothing else there
    ratios, _ = carried_ratios(picture, CELL)
    told = told_by_others(picture, enlarged(ratios))
    assert torch.isfinite(ratios).all() and torch.isfinite(told).all() and not told[:, 1:].any()
