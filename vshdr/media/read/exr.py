"""Reading EXR pictures of linear light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from vshdr.errors import InputError


def read_exr(path: str | Path) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return R, G and B of an EXR file as float32, 3 x H x W, and its header.

    Raise InputError where the file cannot be read to its end or has no R, G and B.
    """
    pixels, header = read_channels(Path(path))
    return np.stack(pixels).astype(np.float32), header


def read_channels(path: Path) -> tuple[list[NDArray[Any]], dict[str, Any]]:
    """Return R, G and B of an EXR file, H x W each and of the file's own type, and its header. Raise as `read_exr`."""
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels, header = file.channels(), dict(file.header())  # a copy: closing the file empties its own
            return [channels[name].pixels for name in "RGB"], header
    except (RuntimeError, ValueError, KeyError):  # ValueError: OpenEXR leaves out the part that it could not read
        raise InputError(f"{path}: this is not a complete EXR file with R, G and B") from None
