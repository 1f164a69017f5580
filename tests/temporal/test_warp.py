"""Warping against SciPy's, and the grid that changes nothing."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from vshdr.temporal.warp import identity_grid, is_inside, warp, warp_by_flow

HEIGHT, WIDTH = 20, 30


def picture() -> torch.Tensor:
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


def test_warping_by_a_flow_equals_scipy_with_the_border_repeated() -> None:
    motion = 8 * torch.randn(1, 2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    where = [rows + motion[0, 1].numpy(), columns + motion[0, 0].numpy()]
    expected = [map_coordinates(plane.numpy(), where, order=1, mode="nearest") for plane in picture()[0]]
    assert np.allclose(warp_by_flow(picture(), motion)[0], np.stack(expected), atol=1e-5)


def test_the_identity_changes_nothing_and_points_inside() -> None:
    grid = identity_grid(HEIGHT, WIDTH)
    assert torch.allclose(warp(picture(), grid), picture(), atol=1e-5)
    assert is_inside(grid * 0.999).all()


def test_what_lies_beyond_the_outermost_centres_is_not_inside() -> None:
    moved = warp_by_flow(picture(), torch.tensor([1.0, 0.0])[:, None, None].expand(1, 2, HEIGHT, WIDTH))
    assert torch.allclose(moved[..., :-1], picture()[..., 1:], atol=1e-5)
    inside = is_inside(identity_grid(HEIGHT, WIDTH) + torch.tensor([2 / WIDTH, 0.0]))
    assert not inside[..., -1].any() and inside[..., 1:-1, 1:-2].all()
