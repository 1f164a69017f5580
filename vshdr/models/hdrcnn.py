"""HDRCNN: a VGG encoder and a log-domain decoder that invent light where the SDR is clipped, and nowhere
else.

The published weights are a list of 80 arrays in the layout of TensorFlow; `from_published` and `to_published`
translate.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vshdr.colour.masks import ramp
from vshdr.errors import InputError
from vshdr.models.contract import Description, Display, Model, load_state
from vshdr.weights import catalogue

THRESHOLD = 0.95  # below this code value in all channels a pixel is the squared SDR
VGG_MEAN = (123.68, 116.779, 103.939)  # of R, G and B in 0..255
ENCODER = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
DECODER = ((512, 512), (512, 512), (512, 256), (256, 128), (128, 64))  # channels in and out, coarse to fine


class _Stage(nn.Sequential):
    """3 x 3 convolutions with ReLU, at one scale."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in zip(channels, channels[1:], strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class _Norm(nn.Module):
    """Batch normalisation with the statistics of training, in any mode: a frame's own never enter.

    Only where `learning` is set does it normalise by its batch and let the statistics follow (decay 0.9).
    """

    learning = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
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
    """A transposed convolution to twice the size, and the fusion with the encoder's features of that size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        self.norm = _Norm(outputs)
        self.fuse = nn.Conv2d(2 * outputs, outputs, 1)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        features = F.relu(self.norm(self.deconv(features)))
        return self.fuse(torch.cat([features, _to_log(skip).to(features.dtype)], dim=1))


def _to_log(features: Tensor) -> Tensor:
    """From the encoder's domain (SDR in 0..255) to the decoder's, the log of linear light: ln((x / 255)^2 + 1
    / 255).

    In float32: half precision overflows in the square.
    """
    return (features.float() / 255.0).square().add(1.0 / 255.0).log()


class HDRCNN(Model):
    """Eilertsen et al., "HDR image reconstruction from a single exposure using deep CNNs", ACM TOG 36(6),
    2017.

    Its camera curve is a square, whatever the display: an SDR pixel below the threshold becomes exactly x^2.
    """

    description = Description(
        name="hdrcnn",
        summary="Restores clipped highlights with a large network; all else is the squared SDR.",
        source="Eilertsen et al., HDRCNN, SIGGRAPH Asia 2017, and their temporal regularisation, CVPR 2019",
        multiple=32,
        context=192,
        weights=catalogue.names("hdrcnn"),
        precision="bf16",
        recordable=False,
        tile=1024,
    )

    def __init__(self, display: Display, state: dict[str, Tensor] | None, origin: str) -> None:
        """Take a state dict of this class, or the published arrays named "0" to "79"; None leaves the layers
        as PyTorch initialises them, untrained.

        Raise InputError naming `origin` where neither fits.
        """
        super().__init__(display)
        self.encoder = nn.ModuleList(_Stage(channels) for channels in ENCODER)
        self.bottleneck = nn.Conv2d(512, 512, 3, padding=1)
        self.bottleneck_norm = _Norm(512)
        self.decoder = nn.ModuleList(_Upscale(*channels) for channels in DECODER)
        self.to_rgb = nn.Conv2d(64, 3, 1)
        self.rgb_norm = _Norm(3)
        self.rgb_fuse = nn.Conv2d(6, 3, 1)
        if state is not None:
            load_state(self, from_published(state, self, origin) if "0" in state else state, origin)

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        blend = ramp(sdr.amax(dim=1, keepdim=True), THRESHOLD, 1.0)
        linear = sdr.square()
        # Most frames of most clips have nothing clipped, and then the network, a million operations a pixel,
        # has no say. Frames go through it one at a time, so that its kernels never depend on how many of a
        # batch are clipped.
        for index in blend.amax(dim=(1, 2, 3)).nonzero().flatten().tolist():
            frame = slice(index, index + 1)
            restored = self._restore(sdr[frame])
            mixed = (1.0 - blend[frame]) * linear[frame] + blend[frame] * restored
            linear[frame] = torch.where(blend[frame] > 0.0, mixed.clamp_min(0.0), linear[frame])
        return linear

    def learn_statistics(self, learning: bool) -> None:
        """Whether the normalisations use and gather their batch's statistics, as training from scratch must."""
        for module in self.modules():
            if isinstance(module, _Norm):
                module.learning = learning

    def _restore(self, sdr: Tensor) -> Tensor:
        """Return the network's linear light for one frame, everywhere; meant where the SDR is clipped."""
        return self.log_light(sdr).exp() - 1.0 / 255.0

    def log_light(self, sdr: Tensor) -> Tensor:
        """Return the network's own output, N x 3 x H x W before the blend: ln(linear light + 1 / 255), float32.

        H and W are multiples of 32.
        """
        features = 255.0 * sdr - sdr.new_tensor(VGG_MEAN).view(1, 3, 1, 1)
        features = features.flip(1)  # the encoder was trained on BGR
        skips = []
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)
            features = F.max_pool2d(features, 2)
        features = F.relu(self.bottleneck_norm(self.bottleneck(features)))
        for upscale in self.decoder:
            features = upscale(features, skips.pop())
        # What is rounded here is the logarithm of the light, so half precision would band the brightest
        # places.
        with torch.autocast(sdr.device.type, enabled=False):
            rgb = F.relu(self.rgb_norm(self.to_rgb(features.float())))
            return self.rgb_fuse(torch.cat([rgb, _to_log(255.0 * sdr)], dim=1))


def published_names(model: HDRCNN) -> list[str]:
    """Return names in the state dict of `model`, in the order of the published list: by depth; beta, gamma, mean,
    variance.
    """
    names = []

    def add(module: str, *parts: str) -> None:
        names.extend(f"{module}.{part}" for part in parts)

    kernel, norm = ("weight", "bias"), ("bias", "weight", "running_mean", "running_var")
    for number, stage in enumerate(model.encoder):
        for layer in range(0, len(stage), 2):
            add(f"encoder.{number}.{layer}", *kernel)
    add("bottleneck", *kernel)
    add("bottleneck_norm", *norm)
    for number in range(len(model.decoder)):
        add(f"decoder.{number}.deconv", *kernel)
        add(f"decoder.{number}.norm", *norm)
        add(f"decoder.{number}.fuse", *kernel)
    add("to_rgb", *kernel)
    add("rgb_norm", *norm)
    add("rgb_fuse", *kernel)
    return names


def from_published(arrays: dict[str, Tensor], model: HDRCNN, origin: str) -> dict[str, Tensor]:
    """Return a state dict for `model` out of the published arrays, named by their place in the list, "0" to "79".

    Kernels turn from (height, width, in, out), for transposed convolutions (height, width, out, in), to
    PyTorch's (out, in, height, width) and (in, out, height, width): one and the same permutation. Raise
    ValueError naming `origin` for another number of arrays; their shapes are checked where the state is
    loaded.
    """
    names = published_names(model)
    if set(arrays) != {str(number) for number in range(len(names))}:
        count = len(arrays)
        raise InputError(f"{origin} does not fit hdrcnn: it is a list of {count} arrays, not {len(names)}")
    state = {}
    for number, name in enumerate(names):
        array = arrays[str(number)]
        state[name] = array.permute(3, 2, 0, 1).contiguous() if array.ndim == 4 else array
    return state


def to_published(model: HDRCNN) -> list[Tensor]:
    """Return the inverse of `from_published`: the list of 80 arrays."""
    state = model.state_dict()
    return [
        state[name].permute(2, 3, 1, 0).contiguous() if state[name].ndim == 4 else state[name]
        for name in published_names(model)
    ]
