"""`vshdr encoder-args`: the flags that a script's output or an HDR file needs, and what is refused."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.clips import write_clip

from vshdr.errors import InputError
from vshdr.inspect.encoder_flags import encoder_arguments
from vshdr.media.write.encoders import VideoSettings
from vshdr.media.write.video import VideoWriter


def write_script(path: Path, *, light: float = 1.0, transfer: int = 16, lines: str = "") -> Path:
    """Write a script of three frames with this linear light, in units of 203 nits, as PQ or HLG of BT.2020."""
    path.write_text(
        "import vapoursynth as vs\n"
        f"clip = vs.core.std.BlankClip(format=vs.RGBS, width=64, height=48, length=3, color=[{light}] * 3)\n"
        "clip = clip.std.SetFrameProps(_Transfer=8, _Primaries=9, _Matrix=0)\n"
        f"clip = clip.resize.Bicubic(format=vs.YUV420P10, transfer={transfer}, matrix=9, nominal_luminance=203)\n"
        f"{lines}clip.set_output()\n"
    )
    return path


def parameters(flags: list[str]) -> dict[str, str]:
    """Return x265's parameters among ffmpeg's flags."""
    pairs = (pair.partition("=") for pair in flags[flags.index("-x265-params") + 1].split(":"))
    return {name: value for name, _, value in pairs}


def test_a_script_is_bounded_by_its_peak_or_measured(tmp_path):
    script = write_script(tmp_path / "s.vpy", light=2.0)
    bounded, measured = (parameters(encoder_arguments(script, "x265", measure=measure)) for measure in (False, True))
    assert bounded["transfer"] == measured["transfer"] == "smpte2084"
    assert bounded["max-cll"].split(",")[0] == "1000"
    levels = [int(level) for level in measured["max-cll"].split(",")]
    assert levels == pytest.approx([406, 406], abs=4)  # in 10 bits, a step of PQ is some 1 %


def test_the_peak_is_that_of_the_frames_properties(tmp_path):
    line = "clip = clip.std.SetFrameProps(MasteringDisplayMaxLuminance=600)\n"
    found = parameters(encoder_arguments(write_script(tmp_path / "s.vpy", lines=line), "x265"))
    assert found["master-display"].endswith("L(6000000,1)") and found["max-cll"].startswith("600,")


def test_hlg_has_no_light_levels_to_measure(tmp_path):
    script = write_script(tmp_path / "s.vpy", transfer=18)
    flags = encoder_arguments(script, "x265", measure=True)
    assert flags == encoder_arguments(script, "x265")
    assert parameters(flags)["transfer"] == "arib-std-b67" and "max-cll" not in parameters(flags)


def test_a_file_has_the_levels_of_its_metadata(tmp_path):
    settings = VideoSettings(
        width=64, height=48, time_base=Fraction(1, 24), codec="x265", preset="ultrafast", peak=700.0
    )
    with VideoWriter(tmp_path / "hdr.mkv", settings) as writer:
        writer.write([np.full(shape, 512, np.uint16) for shape in settings.plane_shapes()], 0)
        writer.finish(max_cll=321.0, max_fall=45.0)
    found = parameters(encoder_arguments(tmp_path / "hdr.mkv", "x265"))
    assert found["max-cll"] == "321,45" and "L(7000000," in found["master-display"]


@pytest.mark.parametrize("measure", [False, True])
def test_what_is_not_hdr_or_fails_is_named_in_one_sentence(tmp_path, measure):
    with pytest.raises(InputError, match="s.vpy: the output is neither PQ nor HLG"):
        encoder_arguments(write_script(tmp_path / "s.vpy", transfer=1), "x265", measure=measure)
    with pytest.raises(InputError, match="sdr.mkv: the video is neither PQ nor HLG"):
        encoder_arguments(write_clip(tmp_path / "sdr.mkv"), "x265", measure=measure)
    with pytest.raises(InputError, match="absent.vpy: there is no such file"):
        encoder_arguments(tmp_path / "absent.vpy", "x265", measure=measure)
    at = 2 if measure else 0
    lines = (
        f"def tear(n, f):\n    if n == {at}:\n        raise RuntimeError('tape torn')\n    return f\n"
        "clip = vs.core.std.ModifyFrame(clip, clip, tear)\n"
    )
    with pytest.raises(InputError, match=r"^torn.vpy: .*tape torn$"):
        encoder_arguments(write_script(tmp_path / "torn.vpy", lines=lines), "x265", measure=measure)
