"""HDRCNN: what its blend promises for any weights, exact tiles, and the published layout of its arrays."""

from __future__ import annotations

import re

import pytest
import torch
from helpers.published_weights import HDRCNN_SHAPES, hdrcnn_arrays

from vshdr import models
from vshdr.models.contract import Display
from vshdr.models.hdrcnn import HDRCNN, _Upscale


@pytest.fixture(scope="module")
def network() -> HDRCNN:
    return HDRCNN(Display()).load(hdrcnn_arrays(), "random weights").eval().requires_grad_(False)


def frame(height: int, width: int, seed: int = 1) -> torch.Tensor:
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(seed))


def test_has_the_published_size(network):
    assert sum(parameter.numel() for parameter in network.parameters()) == 29_443_358
    assert sum(tensor.numel() for tensor in network.state_dict().values()) == 29_447_332
    assert len(network.state_dict()) == 80


def test_published_list_has_the_published_shapes_and_returns_unchanged(network):
    published = network.to_published()
    assert [tuple(array.shape) for array in published] == HDRCNN_SHAPES
    again = network.from_published({str(i): array for i, array in enumerate(published)})
    assert again.keys() == network.state_dict().keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in network.state_dict().items())
    parts = ("bias", "weight", "running_mean", "running_var")
    assert network.published_names()[28:32] == [f"bottleneck_norm.{part}" for part in parts]


def test_kernels_mean_what_tensorflow_means(network):
    """A transposed convolution scatters kernel[:, :, out, in] about twice the place it comes from, cropped by
    one.
    """
    published = network.to_published()
    kernel, bias = published[64], published[65]  # 4 x 4, 64 out, 128 in
    point = torch.zeros(1, 128, 5, 5)
    point[0, 7, 2, 2] = 1.0
    out = network.decoder[4].deconv(point) - bias.view(1, -1, 1, 1)
    assert torch.allclose(out[0, :, 3:7, 3:7], kernel[:, :, :, 7].permute(2, 0, 1), atol=1e-6)
    assert out[0, :, :3].abs().max() < 1e-6


@torch.no_grad()
def test_unclipped_frames_are_squared_exactly_whatever_the_weights(network):
    sdr = frame(64, 64) * 0.949
    assert torch.equal(network(sdr), sdr.square())


@torch.no_grad()
def test_only_clipped_pixels_change_and_change_smoothly_from_the_threshold(network):
    sdr = frame(64, 64) * 0.9
    sdr[..., 20:30, 20:30] = 1.0
    sdr[..., 40, 40] = 0.95 + 1e-5
    linear = network(sdr)
    below = sdr.amax(dim=1, keepdim=True).expand_as(sdr) < 0.95
    assert torch.equal(linear[below], sdr.square()[below])
    assert (linear - sdr.square())[..., 20:30, 20:30].abs().max() > 1e-2
    assert (linear - sdr.square())[..., 40, 40].abs().max() < 1e-2
    assert linear.min() >= 0.0


@torch.no_grad()
def test_an_overflow_under_the_mask_never_shows():
    state = hdrcnn_arrays()
    state["79"] = torch.full((3,), 200.0)  # exp(200) is infinite in float32
    network = HDRCNN(Display()).load(state, "wild weights")
    sdr = frame(32, 32) * 0.9
    sdr[..., 5, 5] = 1.0
    linear = network(sdr)
    assert torch.isinf(linear[..., 5, 5]).any()
    linear[..., 5, 5] = 0.0
    assert torch.isfinite(linear).all()


@torch.no_grad()
def test_restored_light_follows_the_published_blend(network):
    """Network output as exp(y) - 1/255 where the pixel is fully clipped, half and half with x^2 half-way up
    the ramp.
    """
    sdr = frame(32, 64) * 0.9
    sdr[..., 16, 16] = 1.0
    sdr[..., 16, 48] = 0.975
    linear, restored = network(sdr), network._restore(sdr)
    assert torch.allclose(linear[..., 16, 16], restored[..., 16, 16].clamp_min(0.0))
    expected = 0.5 * 0.975**2 + 0.5 * restored[..., 16, 48]
    assert torch.allclose(linear[..., 16, 48], expected.clamp_min(0.0), atol=1e-4)


@torch.no_grad()
def test_a_frame_does_not_depend_on_its_batch_or_on_training_mode(network):
    batch = torch.cat([frame(32, 32, seed) for seed in (1, 2, 3)])
    batch[1] *= 0.9
    together = network(batch)
    for index in range(3):
        assert torch.equal(network(batch[index : index + 1])[0], together[index])
    network.train()
    assert torch.equal(network(batch), together)
    network.eval()


def test_no_pixel_beyond_the_context_has_a_say():
    """The farthest input that any output of one period of 32 depends on, by gradient, lies within
    `card.context`.

    All weights are positive and one sample stands for a whole row, so that no path is shut and none cancels.
    """
    positive = {name: array.abs() for name, array in hdrcnn_arrays().items()}
    network = HDRCNN(Display()).load(positive, "positive weights")
    network.requires_grad_(False)
    width, period = 416, slice(192, 224)
    sdr = torch.full((1, 3, 32, width), 0.99, requires_grad=True)
    light = network._restore(sdr)
    light.log()[..., period].sum().backward()
    touched = sdr.grad.abs().amax(dim=(0, 1, 2)).nonzero().flatten()
    reach = max(period.start - int(touched.min()), int(touched.max()) - (period.stop - 1))
    assert 160 < reach <= network.card.context
    assert network.card.context % network.card.multiple == 0


@torch.no_grad()
def test_a_tile_with_its_context_equals_the_whole_frame(network):
    sdr = frame(32, 480)
    context = network.card.context
    tile = network(sdr[..., 256 - context :])[..., context:]
    assert (tile - network(sdr)[..., 256:]).abs().max() < 1e-5


@torch.no_grad()
def test_half_precision_stays_near_float32(network):
    sdr = frame(32, 32)
    exact = network(sdr)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(sdr)
    assert half.dtype == torch.float32
    assert ((half + 0.01) / (exact + 0.01)).log2().abs().mean() < 0.1


def test_weights_that_do_not_fit_are_named():
    state = hdrcnn_arrays()
    state["33"] = torch.zeros(7)
    complaint = r"a\.npz does not fit hdrcnn: decoder\.0\.deconv\.bias has shape \(7,\), not \(512,\)"
    with pytest.raises(ValueError, match=complaint):
        HDRCNN(Display()).load(state, "a.npz")
    del state["33"]
    with pytest.raises(ValueError, match=r"a\.npz does not fit hdrcnn: it is a list of 79 arrays, not 80"):
        HDRCNN(Display()).load(state, "a.npz")


def test_is_described_for_video():
    card = models.card("hdrcnn")
    assert card.weights[0].name == "hdrcnn-video"
    assert card.multiple == 32


def test_files_of_earlier_versions_load(network):
    """They called the backbone encoder."""
    state = network.state_dict()
    older = {re.sub("^backbone", "encoder", name): tensor for name, tensor in state.items()}
    assert older.keys() != state.keys()
    again = HDRCNN(Display()).load(older, "older weights").state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


@torch.no_grad()
def test_it_starts_as_upsampling_and_addition():
    model = models.untrained("hdrcnn", Display(), seed=3)
    assert isinstance(model, HDRCNN)
    features = torch.rand(1, 128, 8, 8)
    finest = model.decoder[4]
    assert isinstance(finest, _Upscale)
    larger = finest.deconv(features)
    both = finest.fuse(torch.cat((larger, 2.0 * larger), dim=1))
    expected = torch.nn.functional.interpolate(features[:, :64], scale_factor=2, mode="bilinear")
    assert torch.allclose(larger[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-6)
    assert torch.allclose(both, 3.0 * larger, atol=1e-5)
