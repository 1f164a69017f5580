"""Expansion operators that look at one pixel at a time and have no weights: baselines that a network must beat."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vshdr.colour.primaries import luminance
from vshdr.colour.transfer import EOTF, INVERSE_EOTF
from vshdr.models.cards import Card
from vshdr.models.contract import Model


class Linearise(Model):
    """The SDR in linear light as its display shows it, without any expansion."""

    card: ClassVar[Card] = Card(
        name="none",
        summary="Linearises only: the grade untouched, highlights stay at SDR white. The baseline of all others.",
        source="ITU-R BT.1886, IEC 61966-2-1",
        bounded=True,
    )

    @property
    def brightest(self) -> float:
        """SDR white."""
        return 1.0

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        return EOTF[self.display.eotf](sdr)


class Akyuz(Model):
    """Linear scaling: SDR black to white is stretched to HDR black to peak.

    Akyuz et al., "Do HDR displays support LDR content?", SIGGRAPH 2007, eq. 1 with exponent 1, which their observers
    preferred. The paper stretches between the extremes of each image. Here the extremes are those of the signal, 0 and
    1, so that a frame's content does not change its scale.
    """

    card: ClassVar[Card] = Card(
        name="akyuz",
        summary="Scales everything linearly up to the peak: bright, contrasty, mid-tones several times brighter.",
        source="Akyuz et al., SIGGRAPH 2007",
        bounded=True,
    )

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        return self.display.headroom * EOTF[self.display.eotf](sdr)


class BT2446A(Model):
    """The inverse tone mapping of ITU-R BT.2446 method A: luma to the power of a quadratic in luma.

    The report defines the curve from 100 to 1000 nits and for BT.1886 code values. Here SDR white goes to
    `display.peak`. Colour differences are scaled by 1.075 times the factor of luma, as the report says.
    """

    card: ClassVar[Card] = Card(
        name="bt2446a",
        summary="Broadcast's standard curve: lifts mid-tones and highlights to the peak, no spatial processing.",
        source="ITU-R BT.2446-1 method A (inverse)",
        bounded=True,
    )

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        code = sdr if self.display.eotf == "bt1886" else INVERSE_EOTF["bt1886"](EOTF[self.display.eotf](sdr))
        luma = luminance(code)
        expanded = self._luma_curve(luma)
        factor = torch.where(luma > 0, 1.075 * expanded / luma.clamp_min(1e-6), torch.ones_like(luma))
        rgb = (expanded + factor * (code - luma)).clamp(0.0, 1.0)
        return self.display.headroom * EOTF["bt1886"](rgb)

    @staticmethod
    def _luma_curve(luma: Tensor) -> Tensor:
        """Return the expanded luma in [0, 1], of gamma 2.4, where 1 is 1000 nits (BT.2446-1, table 4)."""
        y = luma * 255.0
        low = (1.8712e-5 * y - 2.7334e-3) * y + 1.3141
        high = (2.8305e-6 * y - 7.4622e-4) * y + 1.2528
        return y.pow(torch.where(y <= 70.0, low, high)) / 1000.0
