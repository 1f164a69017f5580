"""vshdr: SDR video to HDR video that does not flicker.

    from vshdr import Expander, convert

    linear = Expander("bt2446a").expand(sdr)       # tensors in and out
    convert("in.mkv", "out.mkv")                   # a file to HDR10

and, in VapourSynth scripts, `core.hdr.Expand(clip)`, for which nothing needs to be imported.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Expander": "vshdr.expand.expander",
    "ExpandOptions": "vshdr.options.declare",
    "convert": "vshdr.conversion.run",
    "ConvertOptions": "vshdr.options.declare",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    # Late, because torch takes a second to import and neither `vshdr --help` nor the creation of a VapourSynth core
    # needs it.
    if name not in _HOMES:
        raise AttributeError(f"module 'vshdr' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
