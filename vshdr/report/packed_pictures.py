"""HDR pictures for the flicker page, compressed by a logarithmic code."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import torch
from torch import Tensor

STEPS_PER_STOP = 204.75
"""Steps of the logarithmic codes: one is 0.34 % of light."""
DARKEST = -12.0
"""Stops, relative to 1.0, of code 0; code 4095 is 8 stops above 1.0."""
_LARGEST = 4095  # a code of 12 bits


def pack(before: Tensor, now: Tensor) -> str:
    """Return two pictures of linear light, 3 x h x w, as text that `page.js` can read.

    Each sample L becomes a code of 12 bits, round(204.75 (log2 L + 12)). The rows of the picture now are stored as
    differences of neighbouring codes, the picture before as its differences to the picture now, all modulo 4096. The
    low bytes of all codes come first, then the high bytes; they are deflated and written in base 64.
    """
    codes = [_codes(picture) for picture in (now, before)]
    differences = np.stack([np.diff(codes[0], axis=2, prepend=0), codes[1] - codes[0]]) & _LARGEST
    flat = differences.astype(np.uint16).ravel()
    data = (flat & 0xFF).astype(np.uint8).tobytes() + (flat >> 8).astype(np.uint8).tobytes()
    return base64.b64encode(zlib.compress(data)).decode()


def _codes(picture: Tensor) -> np.ndarray:
    stops = torch.log2(picture.float().clamp_min(2.0**DARKEST)) - DARKEST
    return (stops * STEPS_PER_STOP).round().clamp(0, _LARGEST).short().numpy().astype(np.int32)
