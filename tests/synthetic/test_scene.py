"""The procedural scene keeps its promises: the same every time, truly HDR, and moving exactly as its flow
says."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vshdr.camera.simple_camera import simple_camera
from vshdr.colour.camera_response import camera_response
from vshdr.synthetic.harbour.scene import CameraPose, exact_flow, pose_at, render

WIDTH, HEIGHT = 160, 90


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return render(1.0, WIDTH, HEIGHT, samples=2)


def test_same_arguments_same_picture(picture: torch.Tensor) -> None:
    assert torch.equal(picture, render(1.0, WIDTH, HEIGHT, samples=2))
    assert torch.equal(picture, render(pose_at(1.0), WIDTH, HEIGHT, samples=2))


def test_seed_makes_another_harbour(picture: torch.Tensor) -> None:
    other = render(1.0, WIDTH, HEIGHT, samples=2, seed=1)
    assert (other - picture).abs().gt(0.05).float().mean() > 0.1


def test_picture_is_high_dynamic_range(picture: torch.Tensor) -> None:
    assert picture.shape == (3, HEIGHT, WIDTH) and picture.dtype == torch.float32
    assert picture.isfinite().all() and picture.min() >= 0.0
    assert picture.max() > 1000.0  # the sun
    assert picture.quantile(0.05) < 0.1
    lamps = ((picture.amax(dim=0) > 10.0) & (picture.amax(dim=0) < 500.0)).float().mean()
    assert lamps > 0.005


@pytest.mark.parametrize("seed", [0, 5])
def test_camera_clips_as_much_as_cameras_do(seed: int) -> None:
    for time in (0.0, 1.5, 3.0):
        clipped = (simple_camera(render(time, 96, 54, seed=seed)) >= 1.0).float().mean()
        assert 0.03 < clipped < 0.12


def test_lit_paper_is_white_and_no_lamp() -> None:
    board = CameraPose(position=(-2.2, 1.62, 5.8), target=(-2.9, 1.62, 7.4), view=30.0)
    paper = render(board, 64, 36)
    assert 0.6 < paper.amax() < 1.2
    assert paper.amin() < 0.1 * paper.amax()  # the print


def test_flow_takes_matt_surfaces_onto_themselves() -> None:
    a, b = pose_at(1.0), pose_at(1.25)
    before, after = (render(at, WIDTH, HEIGHT, samples=3, glare=0.0) for at in (a, b))
    motion, visible, matt = exact_flow(a, b, WIDTH, HEIGHT)
    assert (visible & matt).float().mean() > 0.5
    assert motion.norm(dim=0)[visible].median() > 1.0  # else the test would say nothing
    size = torch.tensor([WIDTH, HEIGHT])
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")

    def disagreement(flow: torch.Tensor) -> float:
        grid = (torch.stack((x, y)) + flow).permute(1, 2, 0) / size * 2 - 1
        warped = functional.grid_sample(after[None], grid[None], align_corners=False)[0]
        error = (warped.clamp_max(1.0) - before.clamp_max(1.0)).abs().amax(dim=0)
        return float(error[visible & matt].median())  # edges finer than a pixel differ by the interpolation

    exact = disagreement(motion)
    assert exact < 0.003
    for off in ((0.25, 0.0), (-0.25, 0.0), (0.0, 0.25), (0.0, -0.25)):
        assert disagreement(motion + torch.tensor(off)[:, None, None]) > 1.5 * exact


def test_flow_there_and_back_ends_where_it_began_unless_the_point_is_hidden() -> None:
    there, back = exact_flow(0.0, 3.0, WIDTH, HEIGHT), exact_flow(3.0, 0.0, WIDTH, HEIGHT)
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    column, row = (torch.stack((x, y)) + there.motion).round().long()
    inside = (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)
    returned = back.motion[:, row.clamp(0, HEIGHT - 1), column.clamp(0, WIDTH - 1)]
    missed = (there.motion + returned).norm(dim=0)
    hidden = inside & ~there.visible
    assert 0.005 < hidden.float().mean() < 0.3
    assert missed[there.visible].quantile(0.9) < 1.0  # the way back was read at the nearest pixel
    assert missed[hidden].median() > 1.0


def test_flow_between_equal_cameras_is_zero_and_all_is_visible() -> None:
    motion, visible, _ = exact_flow(0.7, 0.7, WIDTH, HEIGHT)
    assert motion.abs().max() < 0.01
    assert visible.float().mean() > 0.999


def test_camera_response_ends_at_one() -> None:
    light = torch.linspace(0.0, 1.0, 101)
    for n, sigma in ((0.9, 0.6), (0.5, 0.1), (2.0, 1.5)):
        code = camera_response(light, n, sigma)
        assert code[0] == 0.0 and code[-1] == pytest.approx(1.0)
        assert (code.diff() > 0).all()
        inverse = (sigma * code / (1 + sigma - code)).pow(1 / n)
        torch.testing.assert_close(inverse, light, atol=1e-5, rtol=0)


def test_camera_exposes_clips_and_makes_noise() -> None:
    light = torch.tensor([0.0, 0.125, 0.25, 0.5, 7.0, 5000.0]).expand(3, 1, 6)
    sdr = simple_camera(light, exposure=2.0, curve="bt1886")
    torch.testing.assert_close(sdr[0, 0].pow(2.4), torch.tensor([0.0, 0.25, 0.5, 1.0, 1.0, 1.0]))
    flat = torch.full((3, 64, 64), 0.2)
    noisy, again = (
        simple_camera(flat, curve="linear", noise=0.01, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert (noisy - 0.2).std() == pytest.approx(0.01, rel=0.05)
    assert torch.equal(noisy, again)
    with pytest.raises(ValueError, match="curve 'film'.*bt1886"):
        simple_camera(flat, curve="film")
