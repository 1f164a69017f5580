"""The VapourSynth plugin `core.hdr`.

A small C library does what VapourSynth needs and asks Python for every decision. `vshdr.h` and `abi.py` declare the
interface between the two, `bridge.py` has the functions that C calls, `clip.py` is Expand and `measured.py` Flicker.
"""
