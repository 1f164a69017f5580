"""The numbers of H.273 against those that VapourSynth and PyAV have from elsewhere."""

import pytest
import vapoursynth as vs
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from vshdr.colour.h273 import ChromaLocation, ColourRange, Matrix, Primaries, Transfer


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Matrix.RGB, vs.MATRIX_RGB),
        (Matrix.BT709, vs.MATRIX_BT709),
        (Matrix.UNSPECIFIED, vs.MATRIX_UNSPECIFIED),
        (Matrix.FCC, vs.MATRIX_FCC),
        (Matrix.BT470_BG, vs.MATRIX_BT470_BG),
        (Matrix.BT601, vs.MATRIX_ST170_M),
        (Matrix.ST240, vs.MATRIX_ST240_M),
        (Matrix.YCGCO, vs.MATRIX_YCGCO),
        (Matrix.BT2020_NCL, vs.MATRIX_BT2020_NCL),
        (Matrix.BT2020_CL, vs.MATRIX_BT2020_CL),
        (Matrix.CHROMATICITY_DERIVED_NCL, vs.MATRIX_CHROMATICITY_DERIVED_NCL),
        (Matrix.CHROMATICITY_DERIVED_CL, vs.MATRIX_CHROMATICITY_DERIVED_CL),
        (Matrix.ICTCP, vs.MATRIX_ICTCP),
        (Matrix.BT709, Colorspace.ITU709),
        (Transfer.BT709, vs.TRANSFER_BT709),
        (Transfer.UNSPECIFIED, vs.TRANSFER_UNSPECIFIED),
        (Transfer.BT470_M, vs.TRANSFER_BT470_M),
        (Transfer.BT470_BG, vs.TRANSFER_BT470_BG),
        (Transfer.BT601, vs.TRANSFER_BT601),
        (Transfer.ST240, vs.TRANSFER_ST240_M),
        (Transfer.LINEAR, vs.TRANSFER_LINEAR),
        (Transfer.LOG_100, vs.TRANSFER_LOG_100),
        (Transfer.LOG_316, vs.TRANSFER_LOG_316),
        (Transfer.XVYCC, vs.TRANSFER_IEC_61966_2_4),
        (Transfer.BT1361, ColorTrc.BT1361_ECG),
        (Transfer.SRGB, vs.TRANSFER_IEC_61966_2_1),
        (Transfer.BT2020_10, vs.TRANSFER_BT2020_10),
        (Transfer.BT2020_12, vs.TRANSFER_BT2020_12),
        (Transfer.PQ, vs.TRANSFER_ST2084),
        (Transfer.ST428, vs.TRANSFER_ST428),
        (Transfer.HLG, vs.TRANSFER_ARIB_B67),
        (Primaries.BT709, vs.PRIMARIES_BT709),
        (Primaries.UNSPECIFIED, vs.PRIMARIES_UNSPECIFIED),
        (Primaries.BT470_M, vs.PRIMARIES_BT470_M),
        (Primaries.BT470_BG, vs.PRIMARIES_BT470_BG),
        (Primaries.BT601, vs.PRIMARIES_ST170_M),
        (Primaries.ST240, vs.PRIMARIES_ST240_M),
        (Primaries.FILM, vs.PRIMARIES_FILM),
        (Primaries.BT2020, vs.PRIMARIES_BT2020),
        (Primaries.ST428, vs.PRIMARIES_ST428),
        (Primaries.DCI_P3, vs.PRIMARIES_ST431_2),
        (Primaries.DISPLAY_P3, vs.PRIMARIES_ST432_1),
        (Primaries.EBU3213, vs.PRIMARIES_EBU3213_E),
        (Primaries.BT2020, ColorPrimaries.BT2020),
        (ChromaLocation.LEFT, vs.CHROMA_LEFT),
        (ChromaLocation.CENTER, vs.CHROMA_CENTER),
        (ChromaLocation.TOP_LEFT, vs.CHROMA_TOP_LEFT),
        (ChromaLocation.TOP, vs.CHROMA_TOP),
        (ChromaLocation.BOTTOM_LEFT, vs.CHROMA_BOTTOM_LEFT),
        (ChromaLocation.BOTTOM, vs.CHROMA_BOTTOM),
        (ColourRange.LIMITED, vs.RANGE_LIMITED),
        (ColourRange.FULL, vs.RANGE_FULL),
        (ColourRange.LIMITED.ffmpeg, ColorRange.MPEG),
        (ColourRange.FULL.ffmpeg, ColorRange.JPEG),
    ],
)
def test_numbers_are_those_of_others(ours, theirs):
    assert int(ours) == int(theirs)


@pytest.mark.parametrize("enum", [ChromaLocation, ColourRange])
def test_ffmpegs_numbers_come_back_and_others_say_nothing(enum):
    assert [enum.from_ffmpeg(member.ffmpeg) for member in enum] == list(enum)
    assert enum.from_ffmpeg(0) is enum.from_ffmpeg(len(enum) + 1) is None


def test_frame_properties_hold_plain_integers():
    clip = vs.core.std.BlankClip(format=vs.YUV420P8, length=1)
    clip = clip.std.SetFrameProps(_Matrix=Matrix.BT2020_NCL, _Transfer=Transfer.PQ, _Primaries=Primaries.BT2020)
    props = clip.get_frame(0).props
    assert [(type(props[name]), props[name]) for name in ("_Matrix", "_Transfer", "_Primaries")] == [
        (int, 9),
        (int, 16),
        (int, 9),
    ]
