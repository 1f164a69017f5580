"""vshdr: SDR video to HDR video that does not flicker.

    from vshdr import Expander, convert

    linear = Expander("bt2446a").expand(sdr)       # tensors in and out
    convert("in.mkv", "out.mkv")                   # a file to HDR10

and, in VapourSynth scripts, `core.hdr.Expand(clip)`, for which nothing needs to be imported. What goes wrong is a
`VshdrError`, or an OSError of the system; `vshdr.errors` has them all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vshdr.errors import VshdrError

if TYPE_CHECKING:
    from vshdr.conversion.run import convert
    from vshdr.expand.expander import Expander
    from vshdr.options.convert import ConvertOptions
    from vshdr.options.expand import ExpandOptions

__version__ = "0.1.0"
__all__ = ["ConvertOptions", "ExpandOptions", "Expander", "VshdrError", "__version__", "convert"]

_LATE = {
    "Expander": "vshdr.expand.expander",
    "ExpandOptions": "vshdr.options.expand",
    "convert": "vshdr.conversion.run",
    "ConvertOptions": "vshdr.options.convert",
}
"""Where the names are that are imported when they are first asked for.

Torch takes a second to import, and neither `vshdr --help` nor the creation of a VapourSynth core needs it.
"""

if not TYPE_CHECKING:  # else type checkers would believe in any name

    def __getattr__(name: str) -> object:
        if name not in _LATE:
            raise AttributeError(f"module 'vshdr' has no attribute '{name}'")
        return getattr(importlib.import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
