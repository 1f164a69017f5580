"""HDRCNN: a VGG backbone and a decoder in the log domain that invent light where the SDR is clipped, and nowhere else.

The published weights are a list of 80 arrays in TensorFlow's layout; `HDRCNN.from_published` and `to_published`
translate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vshdr.colour.masks import ramp
from vshdr.errors import InputError
from vshdr.models.cards import Card, Recipe
from vshdr.models.contract import EPSILON, Display, Domain, Model, renamed
from vshdr.models.layers import zero_bias
from vshdr.weights.entries import Download

THRESHOLD = 0.95  # a pixel whose channels are all below this code value is the squared SDR
VGG_MEAN = (123.68, 116.779, 103.939)  # of R, G and B in 0..255
BACKBONE = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
"""Channels of the convolutions of each stage of VGG16, from those of its input on."""
DECODER = ((512, 512), (512, 512), (512, 256), (256, 128), (128, 64))  # channels in and out, coarse to fine


def _published(name: str, file: str, summary: str) -> Download:
    return Download(
        name=name,
        url=f"https://computergraphics.on.liu.se/hdrcnn/material/{file}",
        size=4 * 29_447_332,
        # The repository's licence covers its code; the server that has the files says nothing about theirs.
        licence="BSD-3-Clause (the code; none stated for the file)",
        source="github.com/gabrieleilertsen/hdrcnn",
        summary=summary,
    )


_WEIGHTS = (
    _published(
        "hdrcnn-video",
        "hdrcnn_params_compr_regularized.npz",
        "trained on compressed pictures, with temporal regularisation",
    ),
    _published("hdrcnn-compressed", "hdrcnn_params_compr.npz", "trained on compressed pictures"),
    _published("hdrcnn", "hdrcnn_params.npz", "trained on clean pictures: the most detail, flickers in video"),
)

_RECIPE = Recipe(
    loss="hdrcnn",
    stability="transform",
    rate=5e-5,
    schedule="staircase",
    batch=8,
    size=(320, 320),
    epochs=100,
    epoch=5000,
)


class _Stage(nn.Sequential):
    """3 x 3 convolutions with ReLU at one scale."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in zip(channels, channels[1:], strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class _Norm(nn.Module):
    """Batch normalisation by the statistics of training, also in training mode: a frame's own never enter.

    Only while `learning` is set does it normalise by its batch, and let the statistics follow with a decay of 0.9.
    """

    learning = False
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight: nn.Parameter = nn.Parameter(torch.ones(channels))
        self.bias: nn.Parameter = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        return F.batch_norm(
            features,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.learning,
            momentum=0.1,
            eps=1e-5,
        )


class _Upscale(nn.Module):
    """A transposed convolution to twice the size, and the fusion with the backbone's features of that size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        self.norm = _Norm(outputs)
        self.fuse = nn.Conv2d(2 * outputs, outputs, 1)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        features = F.relu(self.norm(self.deconv(features)))
        return self.fuse(torch.cat([features, _to_log(skip).to(features.dtype)], dim=1))


def _to_log(features: Tensor) -> Tensor:
    """Return features of the backbone's domain, SDR in 0..255, in the decoder's, which is the logarithm of linear
    light: ln((x / 255)^2 + 1 / 255). They are float32, because the square overflows in half precision.
    """
    return (features.float() / 255.0).square().add(EPSILON).log()


class HDRCNN(Model):
    """Eilertsen et al., "HDR image reconstruction from a single exposure using deep CNNs", ACM TOG 36(6), 2017.

    Its camera curve is a square, whatever the display: an SDR pixel x below the threshold becomes exactly x^2.
    """

    card: ClassVar[Card] = Card(
        name="hdrcnn",
        summary="Restores clipped highlights with a large network; all else is the squared SDR.",
        source="Eilertsen et al., HDRCNN, SIGGRAPH Asia 2017, and their temporal regularisation, CVPR 2019",
        multiple=32,
        context=192,
        highlights_only=True,
        precision="bf16",
        recordable=False,
        tile=1024,
        weights=_WEIGHTS,
        recipes={"reconstruction": _RECIPE, "stability": dataclasses.replace(_RECIPE, epochs=10)},
    )

    def __init__(self, display: Display) -> None:
        super().__init__(display)
        self.backbone: nn.ModuleList = nn.ModuleList(_Stage(channels) for channels in BACKBONE)
        self.bottleneck: nn.Conv2d = nn.Conv2d(512, 512, 3, padding=1)
        self.bottleneck_norm: _Norm = _Norm(512)
        self.decoder: nn.ModuleList = nn.ModuleList(_Upscale(*channels) for channels in DECODER)
        self.to_rgb: nn.Conv2d = nn.Conv2d(64, 3, 1)
        self.rgb_norm: _Norm = _Norm(3)
        self.rgb_fuse: nn.Conv2d = nn.Conv2d(6, 3, 1)

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        blend = ramp(sdr.amax(dim=1, keepdim=True), THRESHOLD, 1.0)
        linear = sdr.square()
        # Most frames of most clips have nothing clipped and do not need the network, which takes a million operations
        # per pixel. The others go through it one at a time, so that the choice of its kernels never depends on how many
        # frames of a batch are clipped.
        for index in blend.amax(dim=(1, 2, 3)).nonzero().flatten().tolist():
            frame = slice(index, index + 1)
            restored = self._restore(sdr[frame])
            mixed = (1.0 - blend[frame]) * linear[frame] + blend[frame] * restored
            linear[frame] = torch.where(blend[frame] > 0.0, mixed.clamp_min(0.0), linear[frame])
        return linear

    def training_output(self, sdr: Tensor) -> tuple[Tensor, Domain]:
        return self.log_light(sdr), "log"

    def learn_statistics(self, learning: bool) -> None:
        for module in self.modules():
            if isinstance(module, _Norm):
                module.learning = learning

    def _restore(self, sdr: Tensor) -> Tensor:
        """Return the network's linear light for one frame. It is computed everywhere, and meant where the SDR clips."""
        return self.log_light(sdr).exp() - EPSILON

    def log_light(self, sdr: Tensor) -> Tensor:
        """Return the network's own output before the blend, ln(linear light + 1 / 255), N x 3 x H x W, float32.

        H and W are multiples of 32.
        """
        features = 255.0 * sdr - sdr.new_tensor(VGG_MEAN).view(1, 3, 1, 1)
        features = features.flip(1)  # VGG was trained on BGR
        skips = []
        for stage in self.backbone:
            features = stage(features)
            skips.append(features)
            features = F.max_pool2d(features, 2)
        features = F.relu(self.bottleneck_norm(self.bottleneck(features)))
        for upscale in self.decoder:
            features = upscale(features, skips.pop())
        # This is the logarithm of the light. In half precision it would show bands in the brightest places.
        with torch.autocast(sdr.device.type, enabled=False):
            rgb = F.relu(self.rgb_norm(self.to_rgb(features.float())))
            return self.rgb_fuse(torch.cat([rgb, _to_log(255.0 * sdr)], dim=1))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Initialise as published: the decoder starts as bilinear upsampling plus the backbone's skips.

        The published backbone starts from VGG16 trained on Places365, which comes with weights of an earlier run. Here
        it starts from He's normal initialisation, which keeps its features in the range that the skips expect.
        """
        for module in self.backbone.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                zero_bias(module)
        nn.init.trunc_normal_(self.bottleneck.weight, std=0.02, a=-0.04, b=0.04, generator=generator)
        zero_bias(self.bottleneck)
        for upscale in self.decoder:
            assert isinstance(upscale, _Upscale)
            upscale.deconv.weight.copy_(_bilinear(upscale.deconv.weight))
            zero_bias(upscale.deconv)
            _make_sum(upscale.fuse)
            nn.init.normal_(upscale.norm.weight, 1.0, 0.002, generator=generator)
        nn.init.normal_(self.bottleneck_norm.weight, 1.0, 0.002, generator=generator)
        nn.init.xavier_normal_(self.to_rgb.weight, generator=generator)
        zero_bias(self.to_rgb)
        nn.init.normal_(self.rgb_norm.weight, 1.0, 0.002, generator=generator)
        _make_sum(self.rgb_fuse)

    def from_published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a state dict of this class. `state` is one already, or the published arrays named by their places in
        the list, "0" to "79".

        Published kernels are (height, width, in, out), those of transposed convolutions (height, width, out, in).
        PyTorch wants (out, in, height, width) and (in, out, height, width), so one permutation serves both. Raise
        InputError for another number of arrays.
        """
        if "0" not in state:
            return renamed(state, "encoder.", "backbone.")  # as earlier versions named it
        names = self.published_names()
        if set(state) != {str(number) for number in range(len(names))}:
            raise InputError(f"it is a list of {len(state)} arrays, not {len(names)}")
        arrays = (state[str(number)] for number in range(len(names)))
        return {
            name: array.permute(3, 2, 0, 1).contiguous() if array.ndim == 4 else array
            for name, array in zip(names, arrays, strict=True)
        }

    def to_published(self) -> list[Tensor]:
        """Return the published list of 80 arrays, the inverse of `from_published`."""
        state = self.state_dict()
        return [
            state[name].permute(2, 3, 1, 0).contiguous() if state[name].ndim == 4 else state[name]
            for name in self.published_names()
        ]

    def published_names(self) -> list[str]:
        """Return the names of the state dict in the order of the published list.

        Layers come by depth, and a normalisation's arrays as beta, gamma, mean and variance.
        """
        names: list[str] = []

        def add(module: str, *parts: str) -> None:
            names.extend(f"{module}.{part}" for part in parts)

        kernel, norm = ("weight", "bias"), ("bias", "weight", "running_mean", "running_var")
        for number, channels in enumerate(BACKBONE):
            for layer in range(len(channels) - 1):
                add(f"backbone.{number}.{2 * layer}", *kernel)  # a rectifier follows each convolution
        add("bottleneck", *kernel)
        add("bottleneck_norm", *norm)
        for number in range(len(DECODER)):
            add(f"decoder.{number}.deconv", *kernel)
            add(f"decoder.{number}.norm", *norm)
            add(f"decoder.{number}.fuse", *kernel)
        add("to_rgb", *kernel)
        add("rgb_norm", *norm)
        add("rgb_fuse", *kernel)
        return names


def _bilinear(weight: Tensor) -> Tensor:
    """Return a kernel of the shape of `weight`, in x out x 4 x 4, that upsamples each channel by itself."""
    taps = torch.tensor((0.25, 0.75, 0.75, 0.25))
    kernel = torch.zeros_like(weight)
    channels = torch.arange(min(weight.shape[:2]))
    kernel[channels, channels] = torch.outer(taps, taps)
    return kernel


def _make_sum(fuse: nn.Conv2d) -> None:
    """Make a 1 x 1 convolution over two concatenated tensors their sum."""
    identity = torch.eye(fuse.out_channels)
    fuse.weight.copy_(torch.cat((identity, identity), dim=1)[..., None, None])
    zero_bias(fuse)
