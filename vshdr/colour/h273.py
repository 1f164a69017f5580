"""The numbers by which video says what its code values mean: ITU-T H.273 (ISO/IEC 23091-2), and who departs from it.

HEVC, AV1, MP4, Matroska, FFmpeg and VapourSynth's frame properties all use H.273's numbers for matrix, transfer and
primaries. For the location of chroma and for the range they do not; the docstrings of `ChromaLocation` and
`ColourRange` say how each of them counts.

Members are integers: they can be written into frame properties, codec contexts and JSON as they are. A value that was
read from a file stays a plain `int`, because files also hold numbers that H.273 does not define.
"""

from __future__ import annotations

from enum import IntEnum


class Matrix(IntEnum):
    """H.273 MatrixCoefficients (table 4): how R'G'B' became the planes of a frame. VapourSynth's `_Matrix`."""

    RGB = 0
    """Identity: the planes are R, G and B. Also what a grey or YUV clip carries that says nothing."""
    BT709 = 1
    """ITU-R BT.709: HD video, and the guess for clips that say nothing."""
    UNSPECIFIED = 2
    """Nothing is said."""
    FCC = 4
    """US Title 47 CFR 73.682: NTSC of 1953. Hardly met."""
    BT470_BG = 5
    """ITU-R BT.601 for 625 lines: PAL and SECAM video, and JPEG."""
    BT601 = 6
    """ITU-R BT.601 for 525 lines, SMPTE ST 170: NTSC video. The same numbers as `BT470_BG`."""
    ST240 = 7
    """SMPTE ST 240: analogue HD of the 1990s."""
    YCGCO = 8
    """YCgCo: lossless coding of RGB."""
    BT2020_NCL = 9
    """ITU-R BT.2020, non-constant luminance: UHD and nearly all HDR video. What vshdr writes."""
    BT2020_CL = 10
    """ITU-R BT.2020, constant luminance. Hardly met."""
    ST2085 = 11
    """SMPTE ST 2085: Y'D'zD'x."""
    CHROMATICITY_DERIVED_NCL = 12
    """Derived from the primaries, non-constant luminance."""
    CHROMATICITY_DERIVED_CL = 13
    """Derived from the primaries, constant luminance."""
    ICTCP = 14
    """ITU-R BT.2100 ICtCp: some HDR streams."""


class Transfer(IntEnum):
    """H.273 TransferCharacteristics (table 3): how light became code values. VapourSynth's `_Transfer`.

    For SDR it names the camera's curve, not the display's: `vshdr.media.signal.EOTF_OF_TRANSFER` has the latter.
    """

    BT709 = 1
    """ITU-R BT.709: HD video, and the guess for YUV clips that say nothing."""
    UNSPECIFIED = 2
    """Nothing is said."""
    BT470_M = 4
    """Display gamma 2.2: NTSC of 1953; also what FFmpeg calls gamma22."""
    BT470_BG = 5
    """Display gamma 2.8: PAL and SECAM of old; also what FFmpeg calls gamma28."""
    BT601 = 6
    """ITU-R BT.601, SMPTE ST 170: SD video. The same curve as `BT709`."""
    ST240 = 7
    """SMPTE ST 240: analogue HD of the 1990s."""
    LINEAR = 8
    """No curve: code values are proportional to light."""
    LOG_100 = 9
    """Logarithmic over a range of 100 : 1."""
    LOG_316 = 10
    """Logarithmic over a range of 100 sqrt(10) : 1."""
    XVYCC = 11
    """IEC 61966-2-4: BT.709 carried on below black and above white. Some camcorders."""
    BT1361 = 12
    """ITU-R BT.1361 with extended gamut: much as `XVYCC`. zimg does not know it."""
    SRGB = 13
    """IEC 61966-2-1, sRGB: images and screen recordings, and the guess for RGB clips that say nothing."""
    BT2020_10 = 14
    """ITU-R BT.2020 SDR, 10 bits. The same curve as `BT709`."""
    BT2020_12 = 15
    """ITU-R BT.2020 SDR, 12 bits. The same curve as `BT709` but for the last digits."""
    PQ = 16
    """SMPTE ST 2084, ITU-R BT.2100 PQ: HDR10 and Dolby Vision. Absolute nits."""
    ST428 = 17
    """SMPTE ST 428-1: digital cinema masters (X'Y'Z' with gamma 2.6)."""
    HLG = 18
    """ARIB STD-B67, ITU-R BT.2100 HLG: HDR broadcasts. Relative to the display's peak."""


class Primaries(IntEnum):
    """H.273 ColourPrimaries (table 2): which red, green, blue and white are meant. VapourSynth's `_Primaries`."""

    BT709 = 1
    """ITU-R BT.709 and sRGB: HD video and images, and the guess for clips that say nothing."""
    UNSPECIFIED = 2
    """Nothing is said."""
    BT470_M = 4
    """ITU-R BT.470 System M: NTSC of 1953, white C."""
    BT470_BG = 5
    """ITU-R BT.601 for 625 lines, EBU Tech. 3213: PAL and SECAM video."""
    BT601 = 6
    """ITU-R BT.601 for 525 lines, SMPTE ST 170: NTSC video."""
    ST240 = 7
    """SMPTE ST 240: analogue HD of the 1990s. The same numbers as `BT601`."""
    FILM = 8
    """Colour filters with white C: film scanners of old."""
    BT2020 = 9
    """ITU-R BT.2020 and BT.2100: UHD and nearly all HDR video. What vshdr writes."""
    ST428 = 10
    """SMPTE ST 428-1: CIE XYZ, digital cinema masters."""
    DCI_P3 = 11
    """SMPTE RP 431-2: cinema projectors, P3 with the greenish white of DCI."""
    DISPLAY_P3 = 12
    """SMPTE EG 432-1: P3 with white D65, as Apple's devices record."""
    EBU3213 = 22
    """EBU Tech. 3213-E as H.273 lists it apart. Hardly met."""


class ChromaLocation(IntEnum):
    """H.273 Chroma420SampleLocType: where the chroma samples of 4:2:0 lie. VapourSynth's `_ChromaLocation`.

    H.273, HEVC and VapourSynth count from 0; FFmpeg's AVChromaLocation counts from 1 and uses 0 for "nothing said".
    Matroska has two fields of its own, ChromaSitingHorz and ChromaSitingVert.
    """

    LEFT = 0
    """On the left luma sample, between two lines: MPEG-2 and all later SDR video."""
    CENTER = 1
    """Amid four luma samples: MPEG-1 and JPEG."""
    TOP_LEFT = 2
    """On the top left luma sample: BT.2020 and BT.2100, so UHD and HDR video. What vshdr writes."""
    TOP = 3
    """On the upper line, between two samples."""
    BOTTOM_LEFT = 4
    """On the bottom left luma sample: the other field of PAL DV."""
    BOTTOM = 5
    """On the lower line, between two samples."""

    @property
    def position(self) -> tuple[float, float]:
        """Where chroma lies between a luma sample (0) and the next one (1): across, down."""
        down = (0.5, 0.0, 1.0)[self // 2]
        return (0.5 if self % 2 else 0.0), down

    @property
    def ffmpeg(self) -> int:
        """FFmpeg's AVChromaLocation."""
        return self + 1

    @classmethod
    def from_ffmpeg(cls, number: int) -> ChromaLocation | None:
        """Return the location that FFmpeg's AVChromaLocation `number` means; None where it says nothing."""
        return cls(number - 1) if 1 <= number <= len(cls) else None


class ColourRange(IntEnum):
    """H.273 VideoFullRangeFlag: which code values are black and white. VapourSynth's `_Range`.

    Beware of the others: VapourSynth's older `_ColorRange` has 0 for full and 1 for limited; FFmpeg's AVColorRange and
    Matroska's Range have 1 for limited, 2 for full and 0 for "nothing said".
    """

    LIMITED = 0
    """Video range, 16 to 235 (chroma 240) scaled to the depth. Nearly all video, and what vshdr writes."""
    FULL = 1
    """0 to the largest code: images and screen recordings."""

    @property
    def ffmpeg(self) -> int:
        """FFmpeg's AVColorRange, and Matroska's Range."""
        return self + 1

    @classmethod
    def from_ffmpeg(cls, number: int) -> ColourRange | None:
        """Return the range of FFmpeg's AVColorRange, or Matroska's Range, `number`; None where it says nothing."""
        return cls(number - 1) if 1 <= number <= len(cls) else None


HDR_TRANSFERS: dict[str, Transfer] = {"pq": Transfer.PQ, "hlg": Transfer.HLG}
"""The HDR transfers by their names in vshdr's options."""
