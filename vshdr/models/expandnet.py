"""ExpandNet: three branches that see one, seventeen and all pixels around a point, and a head that makes
light of them.

Loads the file published with ExpandNet and the five of the temporally stable ExpandNet as they are. The
network's output is relative, in (0, 1). The programs it came with stretch each frame to its own extremes,
which flickers and loses the grade; here one constant per weights file, found when the file is loaded, ties it
to SDR white.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vshdr.colour.primaries import luminance
from vshdr.colour.transfer import EOTF
from vshdr.models.calibration import pictures
from vshdr.models.contract import Description, Display, Model, load_state
from vshdr.weights import catalogue

GLOBAL_SIZE = 256  # the global branch's strides end at one pixel for this size and no other
LOCAL, MID, GLOBAL = 128, 64, 64  # channels that each branch hands to the head
WELL_EXPOSED = (0.2, 0.8)  # code values whose light the anchor keeps: neither crushed nor near the clip


class _Selu(nn.Module):
    """SELU that overwrites its input where no gradient needs it: the widest tensors are the memory this
    network takes.
    """

    def forward(self, features: Tensor) -> Tensor:
        return F.selu(features, inplace=not torch.is_grad_enabled())


def _block(inputs: int, outputs: int, kernel: int = 3, **options: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, **options), _Selu())


class ExpandNet(Model):
    """Marnerides et al., "ExpandNet", Computer Graphics Forum 37(2), 2018. Modules are named as in the
    published files.
    """

    description = Description(
        name="expandnet",
        summary="Re-maps every pixel with a small network; the whole grade shifts, not only the highlights.",
        source="Marnerides et al., Eurographics 2018; stable weights: kacperkk2/temporalStableExpandNet",
        context=8,
        whole_frame=True,
        weights=catalogue.names("expandnet"),
        precision="fp16",
        tile=512,
    )

    def __init__(self, display: Display, state: dict[str, Tensor] | None, origin: str) -> None:
        """Take `state` as published, 30 float tensors; raises ValueError naming `origin` where it does not
        fit. None leaves it untrained, as PyTorch initialises layers and as its publication starts, and
        unanchored.
        """
        super().__init__(display)
        dilated = {"padding": 2, "dilation": 2}
        self.local_net = nn.Sequential(_block(3, 64, padding=1), _block(64, LOCAL, padding=1))
        self.mid_net = nn.Sequential(
            _block(3, 64, **dilated),
            _block(64, 64, **dilated),
            _block(64, 64, **dilated),
            nn.Conv2d(64, MID, 3, **dilated),
        )
        self.glob_net = nn.Sequential(
            _block(3, 64, stride=2, padding=1),
            *(_block(64, 64, stride=2, padding=1) for _ in range(5)),
            nn.Conv2d(64, GLOBAL, 4),
        )
        self.end_net = nn.Sequential(_block(LOCAL + MID + GLOBAL, 64, 1), nn.Conv2d(64, 3, 1))
        self.anchor = 1.0
        if state is not None:
            load_state(self, state, origin)
            self.anchor = self._find_anchor()

    def summarise(self, sdr: Tensor) -> Tensor:
        """Return the global branch's features of whole frames, N x 64 x 1 x 1."""
        small = F.interpolate(sdr, size=(GLOBAL_SIZE, GLOBAL_SIZE), mode="bilinear", align_corners=False)
        return self.glob_net(small)

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        summary = self.summarise(sdr) if summary is None else summary
        return self.anchor * self.relative(sdr, summary)

    def relative(self, sdr: Tensor, summary: Tensor) -> Tensor:
        """Return the network as published: relative linear light in (0, 1), float32."""
        mix = self.end_net[0][0]
        # The first layer of the head is 1 x 1 over 256 concatenated channels. Summing its three parts is the
        # same, and spares a tensor of 256 channels at full size, a quarter of which would hold one value per
        # channel.
        local, mid, whole = mix.weight.split((LOCAL, MID, GLOBAL), dim=1)
        features = F.conv2d(self.local_net(sdr), local)
        features = features + F.conv2d(self.mid_net(sdr), mid)
        features = self.end_net[0][1](features + F.conv2d(summary, whole, mix.bias))
        # The last layer's sum is a logarithm of the light: rounded to half precision it would band the
        # shadows.
        with torch.autocast(sdr.device.type, enabled=False):
            return torch.sigmoid(self.end_net[1](features.float()))

    @torch.no_grad()
    def _find_anchor(self) -> float:
        """Return the factor that makes the network's light equal the SDR's, in the median over well-exposed pixels.

        It is a property of the weights: the pictures are made by code and shown as BT.1886 whatever the clip.
        Each picture's median counts once, and the median of those is taken, so that no single kind of picture
        decides.
        """
        low, high = WELL_EXPOSED
        factors = []
        for picture in pictures():
            height, width = picture.shape[-2:]
            # The middle stands for all of it, in a quarter of the time.
            sdr = picture[..., height // 4 : -height // 4, width // 4 : -width // 4]
            light = luminance(EOTF["bt1886"](sdr))
            ratio = light / luminance(self.relative(sdr, self.summarise(picture)))
            exposed = (sdr.amin(dim=1, keepdim=True) > low) & (sdr.amax(dim=1, keepdim=True) < high)
            factors.append(ratio[exposed].median())
        return float(torch.stack(factors).median())
