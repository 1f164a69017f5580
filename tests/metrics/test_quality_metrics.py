"""The quality metrics against known vectors, other implementations and planted faults."""

import math

import colour as colour_science
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vshdr.colour.primaries import luminance
from vshdr.colour.transfer import pq_decode, pq_encode
from vshdr.metrics import jod, stops
from vshdr.metrics.flicker.equivariance import equivariance_error
from vshdr.metrics.flicker.known_flow import excess_flicker, global_pumping, still_instability
from vshdr.metrics.itp import delta_e_itp, to_ictcp
from vshdr.metrics.pu21 import PEAK, pu21_encode, pu21_psnr
from vshdr.metrics.response_correction import correct_camera_response
from vshdr.metrics.ssim import pu21_ssim, ssim
from vshdr.temporal.warp import warp


def smooth(seed: int, frames: int = 1, size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    """Smooth random light of mild colours between about 1/16 and 16 times SDR white, frames x 3 x H x W."""
    generator = torch.Generator().manual_seed(seed)
    light, colour = (torch.randn(frames, planes, 6, 8, generator=generator) for planes in (1, 3))
    stops = torch.nn.functional.interpolate(2 * light + 0.3 * colour, size, mode="bicubic", align_corners=False)
    return torch.exp2(stops.clamp(-4, 4))


def identity(frames: int, height: int, width: int) -> torch.Tensor:
    matrix = torch.eye(2, 3).expand(frames, 2, 3)
    return torch.nn.functional.affine_grid(matrix, [frames, 1, height, width], align_corners=False)


def everywhere(clip: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(clip[:, :1], dtype=torch.bool)


def toned(nits: torch.Tensor, coefficients: tuple[float, ...]) -> torch.Tensor:
    """A polynomial on PQ-encoded luminance; chromaticity stays."""
    light = luminance(nits)
    code = sum(c * pq_encode(light) ** power for power, c in enumerate(coefficients))
    return nits * (pq_decode(code) / light)


# correction of the camera response


def test_response_correction_removes_a_tone_curve_that_is_cubic_in_pq():
    test = 203.0 * smooth(1).double()
    reference = toned(test, (0.02, 0.7, 0.5, -0.2))
    assert pu21_psnr(test, reference) < 40
    torch.testing.assert_close(correct_camera_response(test, reference), reference, rtol=1e-4, atol=1e-3)


def test_response_correction_removes_most_of_a_colour_cast():
    reference = 203.0 * smooth(2)
    test = reference * torch.tensor([1.2, 1.0, 0.85]).reshape(1, 3, 1, 1)
    before, after = (float(delta_e_itp(t, reference).mean()) for t in (test, correct_camera_response(test, reference)))
    assert after < before / 4


def test_response_correction_leaves_equal_pictures_and_cannot_invent_what_was_clipped():
    reference = 203.0 * smooth(3, frames=2)
    torch.testing.assert_close(correct_camera_response(reference, reference), reference, rtol=1e-4, atol=1e-3)
    clipped = reference.clamp_max(203.0)
    corrected = correct_camera_response(clipped, reference)
    assert pu21_psnr(clipped, reference) < pu21_psnr(corrected, reference) < 40


def test_response_correction_treats_each_picture_by_itself():
    test, reference = 203.0 * smooth(4, frames=2), 203.0 * smooth(5, frames=2)
    together = correct_camera_response(test, reference)
    torch.testing.assert_close(together[1:], correct_camera_response(test[1:], reference[1:]))


@pytest.mark.parametrize("level", [0.0, 1.0, 203.0])
def test_response_correction_of_flat_pictures_is_finite(level):
    flat = torch.full((1, 3, 16, 16), level)
    assert torch.isfinite(correct_camera_response(flat, 203.0 * smooth(6, size=(16, 16)))).all()


# SSIM


def test_psnr_equals_that_of_scikit_image():
    test, reference = (1000.0 * smooth(seed) for seed in (4, 5))
    encoded = [pu21_encode(picture).double().numpy() for picture in (reference, test)]
    assert pu21_psnr(test, reference) == pytest.approx(peak_signal_noise_ratio(*encoded, data_range=PEAK), abs=1e-6)


def test_ssim_equals_that_of_scikit_image():
    first, second = (100 * luminance(smooth(seed)).double() for seed in (7, 8))
    wanted = structural_similarity(
        first[0, 0].numpy(),
        second[0, 0].numpy(),
        data_range=256,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(first, second, 256) == pytest.approx(wanted, abs=1e-6)


def test_pu21_ssim_is_one_for_equal_pictures_and_falls_with_noise():
    nits = 203.0 * smooth(9)
    scores = [pu21_ssim(nits * torch.exp2(sigma * torch.randn_like(nits)), nits) for sigma in (0.0, 0.1, 0.5)]
    assert scores[0] == pytest.approx(1.0) and scores[0] > scores[1] > scores[2]


# ICtCp and Delta E ITP


def bt2020(nits: torch.Tensor) -> np.ndarray:
    matrix = colour_science.matrix_RGB_to_RGB("ITU-R BT.709", "ITU-R BT.2020", chromatic_adaptation_transform=None)
    return np.moveaxis(nits[0].numpy(), 0, -1) @ matrix.T


def test_ictcp_and_delta_e_itp_equal_those_of_colour_science():
    first, second = (203.0 * smooth(seed).double() for seed in (10, 11))
    wanted = [colour_science.RGB_to_ICtCp(bt2020(nits), L_p=10000) for nits in (first, second)]
    np.testing.assert_allclose(np.moveaxis(to_ictcp(first)[0].numpy(), 0, -1), wanted[0], atol=2e-5)
    differences = colour_science.delta_E(*wanted, method="ITP")
    np.testing.assert_allclose(delta_e_itp(first, second)[0, 0].numpy(), differences, rtol=1e-3, atol=0.02)


def test_greys_have_no_chroma_and_delta_e_counts_their_steps_in_pq():
    grey = torch.full((1, 3, 1, 1), 100.0, dtype=torch.float64)
    assert to_ictcp(grey)[:, 1:].abs().max() < 1e-4
    step = 720 * (pq_encode(torch.tensor(110.0)) - pq_encode(torch.tensor(100.0)))
    assert float(delta_e_itp(1.1 * grey, grey)) == pytest.approx(float(step), rel=1e-3)


# Stops


def test_a_doubled_highlight_is_a_stop_off_and_biased_upwards():
    truth = 8.0 + smooth(12)
    mask = luminance(truth) > 9
    for factor, sign in ((2.0, 1), (0.5, -1)):
        assert stops.error(factor * truth, truth, mask) == pytest.approx(1.0, abs=0.01)
        assert stops.bias(factor * truth, truth, mask) == pytest.approx(sign, abs=0.01)


def test_errors_outside_the_mask_do_not_count_and_an_empty_mask_is_nan():
    truth = smooth(13)
    mask = everywhere(truth)
    mask[..., :32] = False
    wrong = truth.clone()
    wrong[..., :32] *= 4
    assert stops.error(wrong, truth, mask) == 0.0
    for metric in (stops.error, stops.bias, stops.correlation):
        assert math.isnan(metric(truth, truth, torch.zeros_like(mask)))


def test_correlation_knows_shape_but_not_scale():
    truth = 8 * smooth(14)
    mask = everywhere(truth)
    assert stops.correlation(3 * truth, truth, mask) == pytest.approx(1.0, abs=0.01)
    assert stops.correlation(torch.ones_like(truth), truth, mask) == 0.0
    assert stops.correlation(1 / truth, truth, mask) < -0.8


# Stability


def turned(height: int, width: int, degrees: float = 2.0, shift: float = 0.05) -> torch.Tensor:
    angle = math.radians(degrees)
    matrix = torch.tensor([[[math.cos(angle), -math.sin(angle), shift], [math.sin(angle), math.cos(angle), 0.0]]])
    return torch.nn.functional.affine_grid(matrix, [1, 1, height, width], align_corners=False)


def test_a_point_wise_operator_is_equivariant_up_to_interpolation_and_one_of_place_is_not():
    picture = smooth(15, size=(96, 128))
    grid = turned(96, 128)
    valid = (grid.abs() < 0.98).all(dim=-1).unsqueeze(1)
    moved = warp(picture, grid)
    ramp = torch.exp2(torch.linspace(-4, 4, 128))

    def place(light: torch.Tensor) -> torch.Tensor:
        return light * ramp

    point_wise = equivariance_error(moved.pow(1.5), picture.pow(1.5), grid, valid)
    placed = equivariance_error(place(moved), place(picture), grid, valid)
    assert point_wise < 0.02
    assert placed > 0.1


def test_a_still_clip_has_no_flicker():
    clip = smooth(16).expand(4, -1, -1, -1)
    grid = identity(4, 48, 64)
    for test in (clip, clip.pow(0.5)):
        assert excess_flicker(test, clip, grid, everywhere(clip)) == pytest.approx(0.0, abs=1e-5)
        assert global_pumping(test, clip, grid, everywhere(clip)) == pytest.approx(0.0, abs=1e-5)


def pan(frames: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A picture that slides by two pixels per frame, where it came from, and where it was seen."""
    wide = smooth(17, size=(48, 80))
    clip = torch.cat([wide[..., 2 * t : 2 * t + 64] for t in range(frames)])
    grid = identity(frames, 48, 64).clone()
    grid[..., 0] += 2 * 2 / 64
    mask = everywhere(clip)
    mask[..., -2:] = False
    return clip, grid, mask


def test_a_pan_with_exact_flow_has_no_flicker():
    clip, grid, mask = pan()
    for test in (clip, 3 * clip, clip.pow(2)):
        assert excess_flicker(test, clip, grid, mask) == pytest.approx(0.0, abs=1e-4)
    assert excess_flicker(clip, clip[:1].expand_as(clip), identity(4, 48, 64), mask) > 0.05  # without its flow


@pytest.mark.parametrize("moving", [False, True])
def test_planted_flicker_is_measured_in_proportion(moving):
    clip, grid, mask = pan()
    if not moving:
        clip, grid = clip[:1].expand_as(clip), identity(4, 48, 64)
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1, 1) / 2
    for amount in (0.1, 0.2, 0.4):
        test = clip * torch.exp2(amount * sign)
        assert excess_flicker(test, clip, grid, mask) == pytest.approx(amount, rel=0.05)
        assert global_pumping(test, clip, grid, mask) == pytest.approx(amount, rel=0.05)


def test_flicker_of_the_truth_itself_does_not_count():
    clip, grid, mask = pan()
    waves = clip * torch.exp2(0.3 * torch.randn(clip[:, :1].shape, generator=torch.Generator().manual_seed(0)))
    assert excess_flicker(waves, waves, grid, mask) == 0.0


def test_local_flicker_does_not_pump():
    clip, grid, mask = pan()
    noise = torch.randn(clip[:, :1].shape, generator=torch.Generator().manual_seed(0))
    test = clip * torch.exp2(0.3 * noise)
    assert excess_flicker(test, clip, grid, mask) > 10 * global_pumping(test, clip, grid, mask)


def test_still_instability_is_the_mean_step_between_copies():
    still = smooth(18).expand(3, -1, -1, -1)
    assert still_instability(still, everywhere(still)) == 0.0
    test = still * torch.exp2(torch.tensor([0.0, 0.2, -0.1])).reshape(3, 1, 1, 1)
    assert still_instability(test, everywhere(still)) == pytest.approx((0.2 + 0.3) / 2, rel=0.05)


def test_stability_without_a_pixel_to_look_at_is_nan():
    clip, grid, mask = pan()
    nowhere = torch.zeros_like(mask)
    assert math.isnan(excess_flicker(clip, clip, grid, nowhere))
    assert math.isnan(global_pumping(clip, clip, grid, nowhere))


# ColorVideoVDP


@pytest.mark.skipif(not jod.available(), reason="ColorVideoVDP is not installed")
def test_jod_sees_flicker_and_needs_the_surround_to_see_brightness():
    clip = 100.0 * smooth(19).expand(4, -1, -1, -1)
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1, 1)
    predictor = jod.Jod(24.0)
    assert predictor(clip, clip) == pytest.approx(10.0)
    assert predictor(clip * torch.exp2(0.2 * sign), clip) < 9.5
    assert predictor(clip * 1.5, clip, surround=True) < predictor(clip * 1.5, clip)
