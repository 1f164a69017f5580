"""ICtCp and Delta E ITP: how different two HDR colours look (ITU-R BT.2100, BT.2124)."""

from __future__ import annotations

import torch
from torch import Tensor

from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import convert_primaries
from vshdr.colour.transfer import pq_encode

# ITU-R BT.2100, table 7, for PQ.
_RGB_TO_LMS = torch.tensor([[1688, 2146, 262], [683, 2951, 462], [99, 309, 3688]], dtype=torch.float64) / 4096
_LMS_TO_ICTCP = torch.tensor([[2048, 2048, 0], [6610, -13613, 7003], [17933, -17390, -543]], dtype=torch.float64) / 4096


def to_ictcp(nits: Tensor) -> Tensor:
    """Return BT.709 RGB in nits, N x 3 x H x W, as ICtCp with PQ: I in [0, 1], Ct and Cp in [-0.5, 0.5]."""
    lms = torch.einsum(
        "ij,njhw->nihw", _RGB_TO_LMS.to(nits), convert_primaries(nits, Primaries.BT709, Primaries.BT2020)
    )
    return torch.einsum("ij,njhw->nihw", _LMS_TO_ICTCP.to(nits), pq_encode(lms))


def delta_e_itp(test: Tensor, reference: Tensor) -> Tensor:
    """Return the colour difference of two BT.709 RGB pictures in nits, N x 3 x H x W, as N x 1 x H x W.

    1 is just noticeable under the best conditions. ITU-R BT.2124: 720 sqrt(dI^2 + (dCt / 2)^2 + dCp^2).
    """
    scale = torch.tensor([1.0, 0.5, 1.0], device=test.device).reshape(1, 3, 1, 1)
    return 720.0 * ((to_ictcp(test) - to_ictcp(reference)) * scale).norm(dim=1, keepdim=True)
