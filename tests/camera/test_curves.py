"""The truth of training follows the grade below the shoulder and the scene above it, without a step between
them."""

from __future__ import annotations

import pytest
import torch

from vshdr.camera.curves import FAMILIES, FLOOR, RAMP, draw_curves, shoulder, sigmoid_curve
from vshdr.colour.camera_response import camera_response
from vshdr.colour.transfer import EOTF
from vshdr.runtime.dice import Dice

DRAWS = 12
LIGHT = torch.exp2(torch.linspace(-12, 5.9, 6001)).expand(DRAWS, 1, 1, -1).contiguous()


@pytest.mark.parametrize("family", FAMILIES)
def test_truth_is_the_grade_below_and_the_scene_above(family: str) -> None:
    curves = draw_curves([family] * DRAWS, Dice(5))
    code, truth = curves.encode(LIGHT), curves.truth(LIGHT)
    assert code.min() >= 0.0 and code.max() <= 1.0
    assert (code.diff(dim=3) >= 0).all() and (truth.diff(dim=3) >= 0).all()

    below = LIGHT <= curves.join
    assert torch.equal(truth[below], EOTF["bt1886"](code)[below])
    assert (truth[~below] >= EOTF["bt1886"](code)[~below] * 0.999).all()  # expansion never darkens
    low = EOTF["bt1886"](code) < FLOOR
    assert torch.equal(truth[low], EOTF["bt1886"](code)[low])

    # No step and no kink at the join: what leads up to it and what leaves it differ by less than a hundredth
    # of a stop.
    just_below, just_above = (curves.truth(curves.join * factor) for factor in (0.9999, 1.0001))
    assert ((just_above / just_below).log2().abs() < 0.002).all()
    before = (curves.truth(curves.join) / curves.truth(curves.join * 0.9)).log2() / -torch.tensor(0.9).log2()
    after = (curves.truth(curves.join * 1.1) / curves.truth(curves.join)).log2() / torch.tensor(1.1).log2()
    clipped = curves.encode(curves.join * 1.001) - curves.encode(curves.join * 0.99) <= 0
    assert ((before - after).abs()[~clipped & (after < 0.98)] < 0.25).all()

    far = curves.join * 2**RAMP
    ratio = curves.truth(far * 8) / curves.truth(far * 2)
    torch.testing.assert_close(ratio, torch.full_like(ratio, 4.0))  # two stops stay two stops


@pytest.mark.parametrize("family", ["ideal", "graded"])
def test_where_mid_tones_are_linear_the_truth_is_the_scene(family: str) -> None:
    torch.testing.assert_close(draw_curves([family] * DRAWS, Dice(1)).truth(LIGHT), LIGHT, rtol=2e-3, atol=1e-6)


def test_families_draw_different_curves_and_repeat_with_a_seed() -> None:
    grey = torch.full((DRAWS, 1, 1, 1), 0.18)
    for family in set(FAMILIES) - {"ideal", "srgb"}:
        codes = draw_curves([family] * DRAWS, Dice(2)).encode(grey * 3)
        assert codes.std() > 0.005
        assert torch.equal(codes, draw_curves([family] * DRAWS, Dice(2)).encode(grey * 3))
    every = draw_curves(list(FAMILIES), Dice(0)).encode(torch.full((len(FAMILIES), 1, 1, 1), 0.18))
    assert ((every > 0.2) & (every < 0.75)).all()  # mid-grey is a mid-tone for each of them


@pytest.mark.parametrize(("knee", "white"), [(0.4, 12.0), (0.7, 4.0)])
def test_shoulder_leaves_the_knee_straight_and_ends_at_white(knee: float, white: float) -> None:
    light = torch.tensor([0.1, knee, knee + 1e-4, white * 0.99, white, white * 2], dtype=torch.float64)
    rolled = shoulder(light, knee, white)
    assert rolled[:2].tolist() == light[:2].tolist()
    assert float((rolled[2] - rolled[1]) / 1e-4) == pytest.approx(1.0, abs=1e-3)
    assert 0.99 < rolled[3] < 1.0 and rolled[4:].tolist() == pytest.approx([1.0, 1.0])


def test_sigmoid_curve_is_the_camera_response() -> None:
    light = LIGHT[:1]
    torch.testing.assert_close(
        sigmoid_curve(0.8, 0.5).encode(light), camera_response(light.clamp_max(1), 0.8, 0.5), atol=2e-4, rtol=0
    )
