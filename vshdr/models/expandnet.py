"""ExpandNet: three branches with receptive fields of 5, 17 and all pixels, and a head that turns them into light.

The file published with ExpandNet and the five of the temporally stable ExpandNet load as they are. The network's output
is relative, in (0, 1). The programs published with it stretch each frame to its own extremes, which flickers and loses
the grade. Here one constant relates the output to SDR white. It belongs to the weights and is found when they are
loaded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vshdr.colour.primaries import luminance
from vshdr.colour.transfer import EOTF
from vshdr.models.calibration import pictures
from vshdr.models.cards import Card, Recipe
from vshdr.models.contract import Display, Domain, Model
from vshdr.weights.entries import Download

GLOBAL_SIZE = 256  # sides of what the global branch sees; only for this size do its strides end at one pixel
LOCAL, MID, GLOBAL = 128, 64, 64  # channels that each branch hands to the head
WELL_EXPOSED = (0.2, 0.8)  # code values whose light the anchor keeps: neither crushed nor near clipping

_PUBLISHED = "https://raw.githubusercontent.com/dmarnerides/hdr-expandnet/2b47572a88f247e0f44eb14065b0ed4fc9618e0d/"
_STABLE = (
    "https://raw.githubusercontent.com/kacperkk2/temporalStableExpandNet/"
    "87a4d6c8c1a47b721760c9daf2727e380b90c541/net_params/"
)


def _stable(name: str, file: str, size: int, sha256: str, summary: str) -> Download:
    """Return weights of the temporally stable ExpandNet."""
    return Download(
        name=f"expandnet-stable-{name}",
        url=_STABLE + file,
        size=size,
        sha256=sha256,
        licence="BSD-3-Clause-Clear",
        source="github.com/kacperkk2/temporalStableExpandNet",
        summary=summary,
    )


_WEIGHTS = (
    Download(
        name="expandnet",
        url=_PUBLISHED + "weights.pth",
        size=1_831_689,
        sha256="145d1ad92a043dbfccb2c6078360d6b86d7829d2ec31a189c2c6ff61a6da37b7",
        licence="BSD-3-Clause-Clear",
        source="Marnerides et al., Eurographics 2018; github.com/dmarnerides/hdr-expandnet",
        summary="as published with ExpandNet",
    ),
    _stable(
        "base",
        "baseRec_tuningRec.pth",
        1_838_601,
        "876735738599c805a2db418008f5082cc23532456190ff8e1385c453c04b2510",
        "other training data, no stability term; can turn a bright scene black",
    ),
    _stable(
        "l1",
        "baseRec_tuningStab_L1Loss.pth",
        1_838_605,
        "f1ffcddc38657d0a7cc513e117ff35e45ef898b26bdb54bab1eef0054d32aa69",
        "tuned for stability with an L1 loss; can turn a bright scene black",
    ),
    _stable(
        "l2",
        "baseRec_tuningStab_L2Loss.pth",
        1_838_601,
        "251b7ce508aa9ec002a1ccd892a11d33bdd0abc6a8b9a3b8209e7db05f6ec9dc",
        "tuned for stability with an L2 loss; can turn a bright scene black",
    ),
    _stable(
        "rec",
        "baseRec_tuningStab_recLoss.pth",
        1_838_607,
        "39c6ff17ca37ec17de65d4a6aaf71b3b33d52d627f231b8cebd915c870fb035b",
        "tuned for stability with ExpandNet's own loss; can turn a bright scene black",
    ),
    _stable(
        "ssim",
        "baseRec_tuningStab_ssimLoss.pth",
        1_838_601,
        "5a0382933bc4beba1a378f4af6c37d473a42d98f5846f42883e963457f12ad39",
        "trained for stability with an SSIM loss; flickers least, and blurs the picture",
    ),
)

_RECIPE = Recipe(
    loss="expandnet",
    stability="l2_warped",
    rate=7e-5,
    schedule="constant",
    batch=12,
    size=(256, 256),
    epochs=10_000,
    epoch=84,  # 1013 pictures in batches of 12
)


class _Selu(nn.Module):
    """SELU that overwrites its input where no gradient needs it, as the widest tensors decide the network's memory."""

    def forward(self, features: Tensor) -> Tensor:
        return F.selu(features, inplace=not torch.is_grad_enabled())


def _block(
    inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation), _Selu())


class ExpandNet(Model):
    """Marnerides et al., "ExpandNet", Computer Graphics Forum 37(2), 2018. Modules are named as in the published files,
    and layers start as PyTorch initialises them, as its publication's do.
    """

    card: ClassVar[Card] = Card(
        name="expandnet",
        summary="Re-maps every pixel with a small network; the whole grade shifts, not only the highlights.",
        source="Marnerides et al., Eurographics 2018; stable weights: kacperkk2/temporalStableExpandNet",
        context=8,
        whole_frame=True,
        precision="fp16",
        tile=512,
        weights=_WEIGHTS,
        recipes={"reconstruction": _RECIPE, "stability": dataclasses.replace(_RECIPE, epochs=1600)},
    )

    def __init__(self, display: Display) -> None:
        super().__init__(display)
        self.local_net: nn.Sequential = nn.Sequential(_block(3, 64, padding=1), _block(64, LOCAL, padding=1))
        self.mid_net: nn.Sequential = nn.Sequential(
            _block(3, 64, padding=2, dilation=2),
            _block(64, 64, padding=2, dilation=2),
            _block(64, 64, padding=2, dilation=2),
            nn.Conv2d(64, MID, 3, padding=2, dilation=2),
        )
        self.glob_net: nn.Sequential = nn.Sequential(
            _block(3, 64, stride=2, padding=1),
            *(_block(64, 64, stride=2, padding=1) for _ in range(5)),
            nn.Conv2d(64, GLOBAL, 4),
        )
        self.end_net: nn.Sequential = nn.Sequential(_block(LOCAL + MID + GLOBAL, 64, 1), nn.Conv2d(64, 3, 1))
        self.anchor: float = 1.0

    def load(self, state: Mapping[str, Tensor], origin: str) -> Self:
        super().load(state, origin)
        self.anchor = self._find_anchor()
        return self

    def summarise(self, sdr: Tensor) -> Tensor:
        """Return the global branch's features of whole frames, N x 64 x 1 x 1."""
        small = F.interpolate(sdr, size=(GLOBAL_SIZE, GLOBAL_SIZE), mode="bilinear", align_corners=False)
        return self.glob_net(small)

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        summary = self.summarise(sdr) if summary is None else summary
        return self.anchor * self.relative(sdr, summary)

    def training_output(self, sdr: Tensor) -> tuple[Tensor, Domain]:
        return self.relative(sdr, self.summarise(sdr)), "relative"

    def relative(self, sdr: Tensor, summary: Tensor) -> Tensor:
        """Return the output of the published network: relative linear light in (0, 1), float32."""
        head, last = self.end_net
        assert isinstance(head, nn.Sequential)
        mix, rectify = head
        assert isinstance(mix, nn.Conv2d)
        # The first layer of the head is 1 x 1 over 256 concatenated channels. Summing its three parts is the same, and
        # avoids a tensor of 256 channels at full size, a quarter of which would hold one value per channel.
        local, mid, whole = mix.weight.split((LOCAL, MID, GLOBAL), dim=1)
        features = F.conv2d(self.local_net(sdr), local)
        features = features + F.conv2d(self.mid_net(sdr), mid)
        features = rectify(features + F.conv2d(summary, whole, mix.bias))
        # The sum of the last layer is a logarithm of the light. In half precision it would show bands in shadows.
        with torch.autocast(sdr.device.type, enabled=False):
            return torch.sigmoid(last(features.float()))

    @torch.no_grad()
    def _find_anchor(self) -> float:
        """Return the factor that makes the network's light equal to the SDR's, in the median over well-exposed pixels.

        It depends on the weights alone: the pictures are made by code, and shown as BT.1886 whatever the clip. It is
        the median of the pictures' medians, so that no single kind of picture decides.
        """
        low, high = WELL_EXPOSED
        factors = []
        for picture in pictures():
            height, width = picture.shape[-2:]
            # The middle of the picture is enough, and takes a quarter of the time.
            sdr = picture[..., height // 4 : -height // 4, width // 4 : -width // 4]
            light = luminance(EOTF["bt1886"](sdr))
            ratio = light / luminance(self.relative(sdr, self.summarise(picture)))
            exposed = (sdr.amin(dim=1, keepdim=True) > low) & (sdr.amax(dim=1, keepdim=True) < high)
            factors.append(ratio[exposed].median())
        return float(torch.stack(factors).median())
