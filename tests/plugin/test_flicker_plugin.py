"""core.hdr.Flicker: the numbers of `vshdr flicker` as frame properties."""

import random
from collections.abc import Iterable
from typing import cast

import numpy as np
import pytest
import torch
import vapoursynth as vs
from helpers.flicker_clips import RATE, scene, swing

from vshdr.plugin.core import core

pytestmark = pytest.mark.usefixtures("one_thread")
FRAMES = 10
NAMES = ("HdrFlicker", "HdrFlickerHighlights", *(f"HdrFlickerJitter{p}" for p in (50, 90, 99)),
         "HdrFlickerPumping", "HdrFlickerBoiling")  # fmt: skip


def linear_clip(frames: torch.Tensor) -> vs.VideoNode:
    """Light, T x 3 x H x W, as linear RGBS."""
    blank = core.std.BlankClip(
        format=vs.RGBS, width=frames.shape[3], height=frames.shape[2], length=len(frames), fpsnum=RATE, fpsden=1
    )

    def draw(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for plane, values in enumerate(frames[n].numpy()):
            np.copyto(np.asarray(frame[plane]), values)
        frame.props.update(_Transfer=8, _Matrix=0, _Primaries=1, _Range=1, number=n)
        return frame

    return core.std.ModifyFrame(blank, blank, draw)


def sdr_of(clip: vs.VideoNode) -> vs.VideoNode:
    return core.resize.Bilinear(core.std.Limiter(clip), format=vs.YUV444P16, matrix=1, transfer=13)


def numbers(clip: vs.VideoNode, order: Iterable[int] = range(FRAMES)) -> dict[int, list[float]]:
    return {n: [cast(float, clip.get_frame(n).props[name]) for name in NAMES] for n in order}


STOPS = swing(0.2, 5.0, FRAMES)
LIGHT = scene().expand(FRAMES, -1, -1, -1) * torch.exp2(STOPS).reshape(-1, 1, 1, 1)


@pytest.fixture(scope="module")
def sdr() -> vs.VideoNode:
    return sdr_of(linear_clip(scene().expand(FRAMES, -1, -1, -1)))


@pytest.fixture(scope="module")
def measured(sdr) -> vs.VideoNode:
    return core.hdr.Flicker(linear_clip(LIGHT), sdr)


def test_planted_flicker_is_in_the_properties(measured):
    found = numbers(measured)
    assert found[0] == [0.0] * len(NAMES)
    for n in range(1, FRAMES):
        change = abs(float(STOPS[n] - STOPS[n - 1]))
        assert found[n][:5] == pytest.approx([change] * 5, rel=0.05, abs=1e-3)
        assert found[n][5:] == pytest.approx([0.0, 0.0], abs=1e-3)


def test_the_clip_itself_is_handed_on(measured):
    frame = measured.get_frame(3)
    assert frame.props["number"] == 3 and frame.props["_Transfer"] == 8
    assert np.array_equal(np.asarray(frame[1]), LIGHT[3, 1].numpy())


def test_any_order_gives_the_same_numbers(measured, sdr):
    order = list(range(FRAMES))
    random.Random(1).shuffle(order)
    assert numbers(core.hdr.Flicker(linear_clip(LIGHT), sdr), order) == numbers(measured)


@pytest.mark.parametrize("output", ["pq", "hlg"])
def test_delivered_clips_are_measured_in_linear_light(sdr, output):
    expanded = core.hdr.Expand(sdr, model="none", output=output, format=vs.YUV444P16, dither="none")
    found = numbers(core.hdr.Flicker(expanded, sdr), (0, 4))
    assert found[4] == pytest.approx([0.0] * len(NAMES), abs=2e-3)
    assert core.hdr.Flicker(expanded, sdr).format.id == vs.YUV444P16


def test_scene_changes_are_honoured(sdr):
    marked = [(sdr[:5], 0), (sdr[5], 1), (sdr[6:], 0)]
    cut = core.std.Splice([core.std.SetFrameProps(part, _SceneChangePrev=begins) for part, begins in marked])
    found = numbers(core.hdr.Flicker(linear_clip(LIGHT), cut), (4, 5, 6))
    assert found[5] == [0.0] * len(NAMES) and found[4][0] > 0.01 < found[6][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda clip, sdr: (clip, sdr[:5]),
            "Flicker: clip and sdr must be of one size and length; their frames: 10, 5",
        ),
        (lambda clip, sdr: (clip, core.std.Crop(sdr, left=2)), "their width: 96, 94"),
        (lambda clip, sdr: (sdr, sdr), "clip must be linear RGBS"),
        (lambda clip, sdr: (clip, core.std.SetFrameProps(sdr, _Transfer=16)), "already is HDR"),
        (lambda clip, sdr: (core.std.Crop(clip, right=90), core.std.Crop(sdr, right=90)), "16 pixels"),
    ],
)
def test_what_does_not_fit_is_said_at_once(sdr, change, words):
    with pytest.raises(vs.Error, match=words):
        core.hdr.Flicker(*change(linear_clip(LIGHT), sdr))


def test_a_script_under_vspipe_selects_on_the_properties(vspipe, tmp_path):
    script = tmp_path / "select.vpy"
    script.write_text(
        "import vapoursynth as vs\ncore = vs.core\n"
        "sdr = core.std.BlankClip(format=vs.RGB24, width=64, height=48, length=4, color=[90, 120, 40])\n"
        "calm = core.hdr.Expand(sdr, model='none')\n"
        "lit = core.std.Expr(calm, 'x 1.5 *')\n"
        "clip = core.hdr.Flicker(core.std.Splice([calm[:2], lit[2:]]), sdr)\n"
        "assert [round(f.props['HdrFlicker'], 2) for f in clip.frames()] == [0, 0, 0.58, 0]\n"
        "clip.set_output()\n"
    )
    done = vspipe("--info", script)
    assert done.returncode == 0, done.stderr.decode()
