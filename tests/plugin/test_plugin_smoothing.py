"""`smooth` in core.hdr.Expand: what is asked of the source, where shots begin, sizes, and options that are refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs
from helpers.door_clip import CUT, as_clip, linear_of, sdr_of, write_door_clip

from vshdr import Expander, convert
from vshdr.cli.main import main
from vshdr.media.read.reader import open_source

core = vs.core
pytestmark = pytest.mark.usefixtures("one_thread")
FIRST, LENGTH = CUT - 9, 17  # nine frames of one shot and eight of another


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_door_clip(tmp_path_factory.mktemp("smoothing") / "clip.mkv")


def part(clip: vs.VideoNode) -> vs.VideoNode:
    return clip[FIRST : FIRST + LENGTH]


@pytest.mark.parametrize("batch", [1, 3])
def test_linear_access_decodes_and_expands_each_frame_once(video: Path, batch: int, monkeypatch) -> None:
    gain, expanded_frames = Expander.gain, []
    monkeypatch.setattr(
        Expander, "gain", lambda self, sdr, out: (expanded_frames.append(len(sdr)), gain(self, sdr, out))[1]
    )
    asked: list[int] = []
    expanded = core.hdr.Expand(part(as_clip(video, asked)), model="none", smooth=2, batch=batch)
    asked.clear()  # the first frame was looked at for its properties
    for number in range(LENGTH):
        expanded.get_frame(number)
    assert Counter(asked) == Counter(range(FIRST, FIRST + LENGTH))
    assert sum(expanded_frames) == LENGTH


def test_scripts_say_where_shots_begin(video: Path) -> None:
    """A mark in the middle of a shot splits it; a mark of "no" joins two."""
    source = open_source(video)
    sdr = sdr_of(source)[FIRST : FIRST + LENGTH]
    clip = part(as_clip(video))
    marked = clip[:9].std.SetFrameProps(_SceneChangePrev=0)
    marked = marked[:4] + marked[4].std.SetFrameProps(_SceneChangePrev=1) + marked[5:]
    frames = core.hdr.Expand(marked, model="gainmap", smooth=2)
    expander = Expander("gainmap", smooth=2, eotf=source.signal.eotf)
    for number, wanted in enumerate(torch.cat([expander.expand(sdr[:4]), expander.expand(sdr[4:9])])):
        assert torch.equal(linear_of(frames.get_frame(number)), wanted)
    joined = clip.std.SetFrameProps(_SceneChangePrev=0)
    apart = core.hdr.Expand(clip, model="gainmap", smooth=2, smooth_mode="percentile").get_frame(8)
    together = core.hdr.Expand(joined, model="gainmap", smooth=2, smooth_mode="percentile").get_frame(8)
    assert not torch.equal(linear_of(apart), linear_of(together))


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (101, 53)])
def test_any_size(size: tuple[int, int]) -> None:
    clip = core.std.BlankClip(width=size[0], height=size[1], format=vs.RGB24, length=4, color=[250, 240, 200])
    frame = core.hdr.Expand(clip, smooth=2).get_frame(1)
    assert (frame.width, frame.height) == size
    np.testing.assert_allclose(linear_of(frame), linear_of(core.hdr.Expand(clip).get_frame(1)), rtol=1e-4)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="smooth must be from 0 to 12"):
        Expander(smooth=13)
    with pytest.raises(vs.Error, match="Expand: smooth_mode must be one of gain, percentile"):
        core.hdr.Expand(core.std.BlankClip(length=1), smooth=1, smooth_mode="median")


def test_a_run_is_not_resumed_with_other_smoothing(video: Path, tmp_path: Path) -> None:
    pattern = tmp_path / "shot.####.exr"
    convert(video, pattern, model="none", smooth=2)
    for other in ({"smooth": 3}, {"smooth": 2, "smooth_mode": "percentile"}):
        with pytest.raises(ValueError, match="with other options"):
            convert(video, pattern, model="none", resume=True, **other)


def test_the_command_refuses_what_is_out_of_range(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    target = str(tmp_path / "out.####.exr")
    assert main(["convert", str(video), target, "--model", "none", "--smooth", "13"]) == 1
    assert "smooth must be from 0 to 12, not 13" in capsys.readouterr().err
    assert main(["convert", str(video), target, "--model", "none", "--smooth", "1", "--quiet"]) == 0
