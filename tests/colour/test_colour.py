"""Transfer functions and primaries against colour-science, which was written by others; the roll-off against its
promise.
"""

import math

import colour
import numpy as np
import pytest
import torch

from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import convert_primaries, luminance, rgb_to_xyz
from vshdr.colour.roll_off import RollOff, roll_off
from vshdr.colour.transfer import EOTF, INVERSE_EOTF, hlg_decode, hlg_encode, pq_decode, pq_encode
from vshdr.metrics.pu21 import pu21_decode, pu21_encode, pu21_psnr


def test_pq_is_st_2084():
    nits = torch.logspace(-3, 4, 200, dtype=torch.float64)
    np.testing.assert_allclose(pq_encode(nits), colour.models.eotf_inverse_ST2084(nits.numpy()), atol=1e-12)
    np.testing.assert_allclose(pq_decode(pq_encode(nits)), nits, rtol=1e-9)


def test_pq_puts_203_nits_at_58_percent():
    assert round(876 * pq_encode(torch.tensor(203.0)).item() + 64) == 573


def test_hlg_is_bt_2100_for_colours_too():
    """Saturated ones are what tells a system gamma on luminance from one on each channel."""
    nits = 1000.0 * torch.rand(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) ** 3
    nits[0], nits[1], nits[2] = torch.tensor([1000.0, 0, 0]), torch.tensor([0, 0, 500.0]), torch.tensor([203.0] * 3)
    code = hlg_encode(nits.T[None, :, :, None])[0, :, :, 0].T
    with np.errstate(invalid="ignore"):
        wanted = colour.models.eotf_inverse_BT2100_HLG(nits.numpy(), L_B=0.0, L_W=1000.0)
    np.testing.assert_allclose(code, wanted, atol=2e-6)
    np.testing.assert_allclose(hlg_decode(code.T[None, :, :, None])[0, :, :, 0].T, nits, rtol=1e-5, atol=1e-6)
    assert code[2].tolist() == pytest.approx([0.75] * 3, abs=2e-4)  # BT.2408: SDR white is at 75 %


def test_srgb_is_iec_61966():
    code = torch.linspace(0, 1, 256, dtype=torch.float64)
    np.testing.assert_allclose(EOTF["srgb"](code), colour.models.eotf_sRGB(code.numpy()), atol=1e-12)


@pytest.mark.parametrize("name", EOTF)
def test_inverse_curves_undo_the_curves(name):
    code = torch.linspace(0, 1, 256, dtype=torch.float64)
    torch.testing.assert_close(INVERSE_EOTF[name](EOTF[name](code)), code, atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("primaries", "name"),
    [
        (Primaries.BT709, "ITU-R BT.709"),
        (Primaries.BT2020, "ITU-R BT.2020"),
        (Primaries.DISPLAY_P3, "Display P3"),
    ],
)
def test_primaries_are_those_of_the_standards(primaries, name):
    derived = colour.RGB_COLOURSPACES[name].copy()
    derived.use_derived_matrix_RGB_to_XYZ = True
    np.testing.assert_allclose(rgb_to_xyz(primaries), derived.matrix_RGB_to_XYZ, atol=1e-12)


def test_conversion_of_primaries_keeps_white_and_luminance():
    linear = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    wide = convert_primaries(linear, Primaries.BT709, Primaries.BT2020)
    torch.testing.assert_close(luminance(wide, Primaries.BT2020), luminance(linear, Primaries.BT709))
    torch.testing.assert_close(convert_primaries(wide, Primaries.BT2020, Primaries.BT709), linear)
    white = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(convert_primaries(white, Primaries.BT709, Primaries.BT2020), white)


def test_roll_off_keeps_what_is_below_its_knee_and_never_passes_the_ceiling():
    light = torch.linspace(0, 50, 4001).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    rolled = roll_off(light, RollOff.below(5.0))
    below = light <= 0.75 * 5.0
    assert torch.equal(rolled[below], light[below])
    assert rolled.max() <= 5.0
    assert (rolled[0, 0, 0].diff() > -1e-5).all()  # but for the last bit
    slopes = rolled[0, 0, 0].diff() / light[0, 0, 0].diff()
    assert slopes.diff().abs().max() < 0.02  # no kink


def test_roll_off_keeps_hue():
    pixel = torch.tensor([8.0, 4.0, 1.0]).view(1, 3, 1, 1)
    rolled = roll_off(pixel, RollOff.below(5.0))
    torch.testing.assert_close(rolled / rolled[:, :1], pixel / 8.0)


@pytest.mark.parametrize("ceiling", [1.0, math.inf])
def test_roll_off_at_its_limits(ceiling):
    light = torch.tensor([0.2, 1.0, 30.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    torch.testing.assert_close(roll_off(light, RollOff.below(ceiling)), light.clamp_max(ceiling))


def test_pu21_gives_the_published_values():
    nits = torch.tensor([0.005, 0.01, 0.1, 1, 10, 100, 203, 1000, 4000, 10000], dtype=torch.float64)
    wanted = [0, 0.3722, 5.7171, 36.5439, 123.6475, 256.3839, 303.8002, 420.0969, 527.4939, 595.3939]
    np.testing.assert_allclose(pu21_encode(nits), wanted, atol=1e-3)
    np.testing.assert_allclose(pu21_decode(pu21_encode(nits)), nits, rtol=1e-6)


def test_pu21_psnr_falls_as_the_error_grows():
    reference = torch.rand(1, 3, 16, 16) * 1000
    scores = [pu21_psnr(reference * factor, reference) for factor in (1.0, 1.01, 1.1, 2.0)]
    assert scores[0] == math.inf
    assert scores[1:] == sorted(scores[1:], reverse=True)
