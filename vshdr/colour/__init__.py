"""Colour on tensors.

h273.py       the numbers of ITU-T H.273 as enums: Matrix, Transfer, Primaries, ChromaLocation, ColourRange
transfer.py   transfer functions: SDR display curves (BT.1886, sRGB, ...), PQ and HLG
primaries.py  BT.709, BT.2020 and P3 primaries, the matrices between them, luminance
ycbcr.py      integer YCbCr and RGB planes to RGB and back, luma weights, dither
gain.py       gain in stops between linearised SDR and linear HDR
roll_off.py   light above the peak bent below it
masks.py      the ramp by which masks fade in
"""
