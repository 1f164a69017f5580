"""Small panoramas on disk, to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR

from vshdr.synthetic.panoramas import procedural_panorama


def write_panoramas(folder: Path) -> Path:
    """Write six panoramas of 128 x 64 pixels as OpenEXR, and return the folder."""
    for index, name in enumerate(("ash", "birch", "cedar", "elm", "fir", "hazel")):
        pixels = procedural_panorama(index, 128).permute(1, 2, 0).numpy()
        channels = {channel: np.ascontiguousarray(pixels[..., place]) for place, channel in enumerate("RGB")}
        OpenEXR.File({}, channels).write(str(folder / f"{name}.exr"))
    return folder
