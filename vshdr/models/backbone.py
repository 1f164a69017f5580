"""What pictures are made of, learned from ImageNet: the first stages of EfficientNet-Lite2.

A hundred panoramas show what light does, but not what a window, a lamp or a sheet of paper looks like: trained on them
alone, a network learns them by heart. The architecture is that of Tan and Le 2019 without squeeze and excitation, and
with ReLU6, as Google published it as "Lite" in 2020. Its batch normalisations are folded into the convolutions: the
output of a video network must not depend on statistics of what it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = ((1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 48), (4, 3, 2, 6, 88), (4, 5, 1, 6, 120), (1, 5, 2, 6, 208))
"""Of each stage: blocks, side of the kernels, stride, how many times wider a block is inside, channels. The published
network goes on with four more blocks of the last stage, and a seventh.
"""
TAPS = (3, 6, 14, 15)
"""Blocks whose outputs are given: the last of each size."""
CHANNELS = (24, 48, 120, 208)
"""Of those outputs."""
STRIDES = (4, 8, 16, 32)
"""How many pixels of the picture a place of those outputs stands for, in each direction."""
SCALES = (9.6, 8.1, 6.1, 4.0)
"""Their standard deviations, by which they are divided; the published network leaves that to its next layer."""
_STEM = 32
_EPSILON = 1e-3  # of the published batch normalisations


class Conv(nn.Conv2d):
    """A convolution that keeps the sides of its input, or with a stride of two halves even ones. The border is repeated
    beyond the frame: zeros would be a dark rim to the network, and show as a line along the border of bright skies.
    """

    def __init__(self, inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, groups=groups)
        # With a stride TensorFlow, where the encoder's weights come from, pads less at the left than at the right.
        self.border = ((side - stride) // 2, side - stride - (side - stride) // 2) * 2

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(F.pad(features, self.border, mode="replicate") if any(self.border) else features)


def _conv(inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1) -> Conv:
    """Keep the variance of its input (He et al. 2015), until training or published weights decide otherwise."""
    convolution = Conv(inputs, outputs, side, stride, groups)
    nn.init.kaiming_normal_(convolution.weight)
    nn.init.zeros_(convolution.bias)
    return convolution


class _Block(nn.Module):
    """An inverted residual (Sandler et al. 2018): widen, filter each channel by itself, narrow."""

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


class Encoder(nn.Module):
    """Features of N x 3 x H x W code values, 0 to 1, whose sides are multiples of `STRIDES[-1]`: N x `CHANNELS` x
    H / `STRIDES` x W / `STRIDES`, all with a standard deviation of about 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, _STEM, 3, stride=2)
        blocks, inputs = [], _STEM
        for count, side, stride, wider, outputs in STAGES:
            for number in range(count):
                blocks.append(_Block(inputs, outputs, side, stride if number == 0 else 1, wider))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, sdr: Tensor) -> list[Tensor]:
        features, taken = F.relu6(self.stem(2.0 * sdr - 1.0)), []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in TAPS:
                taken.append(features)
        return [features / scale for features, scale in zip(taken, SCALES, strict=True)]

    @torch.no_grad()
    def take_published(self, state: Mapping[str, Tensor]) -> None:
        """Fill itself with EfficientNet-Lite2 as converted to PyTorch, each normalisation folded into the convolution
        before it.

        Raise KeyError where a tensor is missing.
        """

        def take(convolution: Conv, weight: str, norm: str) -> None:
            gain = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPSILON).sqrt()
            convolution.weight.copy_(state[weight] * gain.view(-1, 1, 1, 1))
            convolution.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain)

        take(self.stem, "_conv_stem.weight", "_bn0")
        for number, block in enumerate(self.blocks):
            own = f"_blocks.{number}."
            if block.widen:
                take(block.widen, own + "_expand_conv.weight", own + "_bn0")
            take(block.filter, own + "_depthwise_conv.weight", own + "_bn1")
            take(block.narrow, own + "_project_conv.weight", own + "_bn2")
