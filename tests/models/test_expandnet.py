"""ExpandNet: tiles, batches, its anchor, and the published files where `VSHDR_TEST_WEIGHTS` names a folder
that has them.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers.published_weights import EXPANDNET_SHAPES, expandnet_state

from vshdr import models
from vshdr.colour.primaries import luminance
from vshdr.models.calibration import pictures
from vshdr.models.contract import Display
from vshdr.models.expandnet import ExpandNet


def published(state: dict[str, torch.Tensor], sdr: torch.Tensor) -> torch.Tensor:
    """The network as its paper draws it, with the concatenation."""

    def conv(name: str, x: torch.Tensor, **options: int) -> torch.Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    local = F.selu(conv("local_net.1.0", F.selu(conv("local_net.0.0", sdr, padding=1)), padding=1))
    mid = sdr
    for layer in range(3):
        mid = F.selu(conv(f"mid_net.{layer}.0", mid, padding=2, dilation=2))
    mid = conv("mid_net.3", mid, padding=2, dilation=2)
    whole = F.interpolate(sdr, size=(256, 256), mode="bilinear", align_corners=False)
    for layer in range(6):
        whole = F.selu(conv(f"glob_net.{layer}.0", whole, stride=2, padding=1))
    whole = conv("glob_net.6", whole).expand(-1, -1, *sdr.shape[2:])
    features = F.selu(conv("end_net.0.0", torch.cat([local, mid, whole], dim=1)))
    return torch.sigmoid(conv("end_net.1", features))


@pytest.fixture(scope="module")
def network() -> ExpandNet:
    return ExpandNet(Display()).load(expandnet_state(), "random weights").eval().requires_grad_(False)


def frame(height: int, width: int, seed: int = 1) -> torch.Tensor:
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(seed))


def test_has_the_published_tensors(network):
    assert sum(parameter.numel() for parameter in network.parameters()) == 456_899
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert len(shapes) == 30
    for name, shape in EXPANDNET_SHAPES.items():
        assert shapes[f"{name}.weight"] == shape and shapes[f"{name}.bias"] == shape[:1]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (67, 90), (40, 300)])
@torch.no_grad()
def test_is_the_published_network_times_its_anchor(network, size):
    sdr = frame(*size)
    assert torch.allclose(network(sdr), network.anchor * published(network.state_dict(), sdr), atol=1e-5)


@torch.no_grad()
def test_tiles_equal_the_whole_frame_up_to_its_borders(network):
    sdr = frame(75, 110)
    summary = network.summarise(sdr)
    whole = network(sdr, summary)
    tiled = torch.full_like(whole, -1.0)
    context, side = network.card.context, 32
    for top in range(0, 75, side):
        for left in range(0, 110, side):
            above, before = max(0, top - context), max(0, left - context)
            out = network(sdr[..., above : top + side + context, before : left + side + context], summary)
            kept = out[..., top - above : top - above + side, left - before : left - before + side]
            tiled[..., top : top + kept.shape[2], left : left + kept.shape[3]] = kept
    assert (tiled - whole).abs().max() < 1e-5 * network.anchor


@torch.no_grad()
def test_one_pixel_less_of_context_would_not_do(network):
    sdr = frame(33, 64)
    summary = network.summarise(sdr)
    less = network.card.context - 1
    tile = network(sdr[..., 32 - less :], summary)[..., less:]
    assert (tile - network(sdr, summary)[..., 32:]).abs().max() > 1e-4 * network.anchor


@torch.no_grad()
def test_a_frame_does_not_depend_on_its_batch(network):
    batch = torch.cat([frame(24, 40, seed) for seed in (1, 2)])
    together = network(batch)
    for index in range(2):
        assert torch.allclose(network(batch[index : index + 1])[0], together[index], atol=1e-6 * network.anchor)


@torch.no_grad()
def test_anchor_keeps_the_light_of_well_exposed_pixels(network):
    """In half of the calibration pictures the median well-exposed pixel gets brighter, in half darker."""
    ratios = []
    for sdr in pictures():
        exposed = (sdr.amin(dim=1, keepdim=True) > 0.2) & (sdr.amax(dim=1, keepdim=True) < 0.8)
        ratios.append((luminance(network(sdr)) / luminance(sdr.pow(2.4)))[exposed].median())
    assert 0.8 < torch.stack(ratios).median() < 1.25


def test_anchor_belongs_to_the_weights_and_to_nothing_else(network):
    again = ExpandNet(Display(eotf="gamma28", white=100.0, peak=4000.0)).load(expandnet_state(), "random weights")
    assert again.anchor == pytest.approx(network.anchor, rel=1e-6)
    darker = expandnet_state()
    darker["end_net.1.bias"] = darker["end_net.1.bias"] - 3.0
    assert ExpandNet(Display()).load(darker, "darker weights").anchor > 5.0 * network.anchor


@torch.no_grad()
def test_half_precision_stays_near_float32(network):
    sdr = frame(32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(sdr)
    assert half.dtype == torch.float32
    assert (half / network(sdr)).log2().abs().mean() < 0.05


def test_gradients_reach_every_weight(network):
    network = copy.deepcopy(network).requires_grad_(True)
    network(frame(8, 8)).mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_calibration_pictures_are_well_exposed_and_some_are_clipped():
    clipped = []
    for sdr in pictures():
        assert sdr.shape[:2] == (1, 3) and 0.0 <= sdr.min() and sdr.max() <= 1.0
        assert torch.equal(sdr * 255.0, (sdr * 255.0).round())
        assert ((sdr > 0.2) & (sdr < 0.8)).float().mean() > 0.3
        clipped.append(float((sdr.amax(dim=1) > 0.95).float().mean()))
    assert min(clipped) < 0.01 and max(clipped) > 0.2


def test_weights_that_do_not_fit_are_named():
    state = expandnet_state()
    state["end_net.1.bias"] = torch.full((3,), torch.nan)
    complaint = r"x\.pth holds values that are not finite, first in end_net\.1\.bias"
    with pytest.raises(ValueError, match=complaint):
        ExpandNet(Display()).load(state, "x.pth")


# Files, the centre of constant pictures of 0.25, 0.5, 0.75 and 1, and a colour ramp at two places and in the
# mean.
GOLDEN = {
    "145d1ad9": (
        (
            (0.00614, 0.00601, 0.00594),
            (0.12997, 0.12963, 0.12668),
            (0.24174, 0.23466, 0.23493),
            (0.88600, 0.90884, 0.89627),
        ),
        (0.37005, 0.07703, 0.14582),
        (0.13583, 0.42928, 0.24505),
        0.236141,
    ),
    "87673573": (
        (
            (0.00635, 0.00638, 0.00634),
            (0.01022, 0.01013, 0.01014),
            (0.05923, 0.06213, 0.06314),
            (0.79264, 0.84972, 0.85098),
        ),
        (0.22237, 0.03538, 0.09330),
        (0.05202, 0.18688, 0.09265),
        0.118319,
    ),
}


@pytest.mark.skipif("VSHDR_TEST_WEIGHTS" not in os.environ, reason="VSHDR_TEST_WEIGHTS names no folder")
@pytest.mark.parametrize("digest", GOLDEN)
@torch.no_grad()
def test_published_files_give_the_published_values(digest):
    from vshdr.weights.files import sha256

    folder = Path(os.environ["VSHDR_TEST_WEIGHTS"])
    path = next(path for path in folder.rglob("*.pth") if sha256(path).startswith(digest))
    network = models.build("expandnet", str(path), Display())
    assert isinstance(network, ExpandNet)
    constants, first, second, mean = GOLDEN[digest]
    for value, expected in zip((0.25, 0.5, 0.75, 1.0), constants, strict=True):
        sdr = torch.full((1, 3, 256, 256), value)
        centre = network.relative(sdr, network.summarise(sdr))[0, :, 128, 128]
        assert torch.allclose(centre, torch.tensor(expected), atol=2e-5)
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    ramp = torch.stack([x / 255, y / 255, (x + y) / 510]).unsqueeze(0)
    relative = network.relative(ramp, network.summarise(ramp))
    assert torch.allclose(relative[0, :, 64, 192], torch.tensor(first), atol=2e-5)
    assert torch.allclose(relative[0, :, 200, 100], torch.tensor(second), atol=2e-5)
    assert float(relative.mean()) == pytest.approx(mean, abs=2e-6)
    assert 1.5 < network.anchor < 4.0  # what the median of real clips asks for is 2.0 and 2.9
