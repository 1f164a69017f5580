"""The VapourSynth plugin `core.hdr`: a small C library for VapourSynth's side, `bridge.py` and `clip.py` for ours."""
