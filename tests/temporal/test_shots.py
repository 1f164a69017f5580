"""Shots: cuts are found, and what only looks like one is not; `vshdr shots` on encoded clips and scripts."""

from __future__ import annotations

import csv
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from helpers.harbour_walks import HEIGHT, WIDTH, seen, view, walk
from torch import Tensor

from vshdr.temporal.shots import Shot, shots, transitions
from vshdr.temporal.signature import signature
from vshdr.temporal.transitions import LOOKAHEAD, transition

pytestmark = pytest.mark.usefixtures("one_thread")


def found(frames: list[Tensor]) -> list[Shot]:
    return list(shots(signature(frame) for frame in frames))


def test_hard_cuts_between_views_are_found_at_their_frame() -> None:
    clip = walk(7) + walk(5, start=1.5, seed=3) + walk(6, start=-1.0, seed=5)
    assert found(clip) == [
        Shot(start=0, end=7, begins="start"),
        Shot(start=7, end=12, begins="cut"),
        Shot(start=12, end=18, begins="cut"),
    ]


def test_a_cut_to_the_same_place_seen_otherwise_is_found() -> None:
    clip = walk(6) + [seen(view(0.1 + 0.02 * n, -9.0)) for n in range(6)]
    assert [shot.start for shot in found(clip)] == [0, 6]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length: int) -> None:
    clip = walk(12)
    for n in range(5, 5 + length):
        clip[n] = seen(view(0.02 * n), exposure=20.0)
    assert len(found(clip)) == 1
    for n in range(5, 5 + length):
        clip[n] = torch.ones(3, HEIGHT, WIDTH)
    assert found(clip) == [Shot(start=0, end=12, begins="start", flashes=(5,))]


@pytest.mark.parametrize("length", [1, 3])
def test_frames_of_another_picture_within_a_shot_are_a_flash(length: int) -> None:
    clip = walk(12)
    clip[4 : 4 + length] = walk(length, start=1.5, seed=3)
    assert found(clip) == [Shot(start=0, end=12, begins="start", flashes=(4,))]


def test_a_cut_may_come_out_of_a_flash() -> None:
    clip = walk(6) + [torch.ones(3, HEIGHT, WIDTH)] + walk(6, start=1.5, seed=3)
    assert [shot.start for shot in found(clip)] == [0, 6, 7]


@pytest.mark.parametrize("colour", [0.0, 1.0])
def test_a_fade_out_and_in_begins_a_shot_where_the_picture_comes_back(colour: float) -> None:
    levels = torch.linspace(1.0, 0.0, 12)
    out = [torch.lerp(torch.full_like(f, colour), f, float(v)) for f, v in zip(walk(12), levels, strict=True)]
    into = [
        torch.lerp(torch.full_like(f, colour), f, float(v))
        for f, v in zip(walk(12, start=1.5, seed=3), levels.flip(0), strict=True)
    ]
    clip = walk(4) + out + [torch.full((3, HEIGHT, WIDTH), colour)] * 4 + into + walk(4, start=1.7, seed=3)
    first, second = found(clip)
    assert first.begins == "start" and second.begins == "fade"
    assert 20 <= second.start <= 23  # the first frame that is seen again


def test_a_dissolve_has_no_boundary() -> None:
    share = torch.linspace(0.0, 1.0, 16)
    clip = [torch.lerp(a, b, float(s)) for a, b, s in zip(walk(16), walk(16, start=1.5, seed=3), share, strict=True)]
    assert len(found(clip)) == 1


@pytest.mark.parametrize("step", [0.3, 0.8])
def test_a_fast_pan_is_no_cut(step: float) -> None:
    clip = [seen(view(0.0, -4.0 + step * n)) for n in range(10)]
    assert len(found(clip)) == 1


def test_light_that_is_switched_on_is_no_cut() -> None:
    """A lamp that lights a third of the picture, and stays on; then the whole scene a stop and a half up."""
    clip = walk(14)
    x = torch.linspace(0.0, 1.0, WIDTH)
    lamp = torch.exp(-((x - 0.3) / 0.15).square())
    for n in range(5, 14):
        clip[n] = seen(view(0.02 * n) + lamp, seed=n)
    assert len(found(clip)) == 1
    for n in range(9, 14):
        clip[n] = seen(view(0.02 * n) + lamp, exposure=2.8, seed=n)
    assert len(found(clip)) == 1


def test_an_explosion_is_no_cut() -> None:
    clip = walk(14)
    y, x = torch.meshgrid(torch.linspace(-0.5, 0.5, HEIGHT), torch.linspace(-0.9, 0.9, WIDTH), indexing="ij")
    radius = (x.square() + y.square()).sqrt()
    fire = torch.tensor([4.0, 1.5, 0.4])[:, None, None]
    for n in range(4, 14):
        size = 0.35 * (1 - 0.5 ** (n - 3))  # half of its full size within one frame
        clip[n] = seen(view(0.02 * n) + fire * (radius < size), seed=n)
    assert len(found(clip)) == 1


def test_a_boundary_depends_on_its_window_only() -> None:
    clip = [signature(frame) for frame in walk(9) + walk(9, start=1.5, seed=3)]
    linear = list(transitions(clip))
    for number in range(len(clip)):
        window = {n: clip[n] for n in range(max(0, number - LOOKAHEAD), min(len(clip), number + LOOKAHEAD))}
        assert transition(number, window) == linear[number]


def test_what_the_frames_say_is_taken() -> None:
    clip = walk(6) + walk(6, start=1.5, seed=3)
    marks = [n == 3 for n in range(12)]
    said = list(shots(signature(frame, mark) for frame, mark in zip(clip, marks, strict=True)))
    assert [(shot.start, shot.begins) for shot in said] == [(0, "start"), (3, "cut")]


def test_short_and_empty_clips() -> None:
    assert found([]) == []
    assert found(walk(1)) == [Shot(start=0, end=1, begins="start")]
    assert found(walk(1) + walk(1, start=1.5, seed=3)) == [
        Shot(start=0, end=1, begins="start"),
        Shot(start=1, end=2, begins="cut"),
    ]


def encode(path: Path, frames: list[Tensor]) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(24000, 1001), options={"crf": "30", "preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            rgb = np.ascontiguousarray((frame * 255).byte().permute(1, 2, 0).numpy())
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode())
    return path


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "vshdr", *map(str, arguments)], capture_output=True, text=True)


def test_the_command_lists_writes_csv_and_chapters(tmp_path: Path) -> None:
    clip = encode(tmp_path / "in.mkv", walk(10) + walk(12, start=1.5, seed=3))
    result = command("shots", clip, "--csv", tmp_path / "shots.csv", "--chapters", tmp_path / "shots.txt")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["00:00:00.000  frames 0-9  start", "00:00:00.417  frames 10-21  cut"]
    rows = list(csv.DictReader((tmp_path / "shots.csv").open()))
    assert [(row["first_frame"], row["last_frame"], row["begins"]) for row in rows] == [
        ("0", "9", "start"),
        ("10", "21", "cut"),
    ]
    assert float(rows[1]["start_seconds"]) == pytest.approx(10 * 1001 / 24000, abs=1e-3)
    assert (tmp_path / "shots.txt").read_text() == (
        "CHAPTER01=00:00:00.000\nCHAPTER01NAME=Shot 1\nCHAPTER02=00:00:00.417\nCHAPTER02NAME=Shot 2\n"
    )


def test_a_script_may_say_where_shots_begin(tmp_path: Path) -> None:
    script = tmp_path / "clip.vpy"
    script.write_text(
        "import vapoursynth as vs\n"
        "clip = vs.core.std.BlankClip(width=64, height=48, length=9, format=vs.YUV420P8, color=[120, 128, 128])\n"
        "other, rest = clip.std.SetFrameProps(_SceneChangePrev=1), clip.std.SetFrameProps(_SceneChangePrev=0)\n"
        "(rest[:4] + other[0] + rest[:4]).set_output()\n"
    )
    result = command("shots", script)
    assert result.stdout.splitlines() == ["00:00:00.000  frames 0-3  start", "00:00:00.167  frames 4-8  cut"]


def test_what_cannot_be_read_gets_one_sentence(tmp_path: Path) -> None:
    result = command("shots", tmp_path / "none.mkv")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "there is no such file" in result.stderr
