"""vshdr: SDR video to HDR video that does not flicker.

    from vshdr import Expander, convert

    linear = Expander("bt2446a").expand(sdr)       # tensors in and out
    convert("in.mkv", "out.mkv")                   # a file to HDR10

and, in VapourSynth scripts, `core.hdr.Expand(clip)`, for which nothing needs to be imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vshdr.conversion.run import convert
    from vshdr.expand.expander import Expander
    from vshdr.options.convert import ConvertOptions
    from vshdr.options.expand import ExpandOptions

__version__ = "0.1.0"
__all__ = ["ConvertOptions", "ExpandOptions", "Expander", "__version__", "convert"]

_HOMES = {
    "Expander": "vshdr.expand.expander",
    "ExpandOptions": "vshdr.options.expand",
    "convert": "vshdr.conversion.run",
    "ConvertOptions": "vshdr.options.convert",
}


def __getattr__(name: str) -> Any:
    # Late, because torch takes a second to import and neither `vshdr --help` nor the creation of a VapourSynth core
    # needs it.
    if name not in _HOMES:
        raise AttributeError(f"module 'vshdr' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
