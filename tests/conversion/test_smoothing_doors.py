"""Smoothing through the three doors: file, plugin and tensors give the same bits, in any order of requests."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import vapoursynth as vs
from torch import Tensor
from walks import HEIGHT, WIDTH, two_shots

from vshdr import Expander, convert
from vshdr.cli.main import main
from vshdr.media.read.exr import read_exr
from vshdr.media.read.reader import open_source, read_sdr

core = vs.core
pytestmark = pytest.mark.usefixtures("one_thread")


def encode(path: Path, frames: Tensor) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        for frame in frames:
            rgb = np.ascontiguousarray((frame * 255).byte().permute(1, 2, 0).numpy())
            picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv444p", dst_colorspace=1, threads=1)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("smoothing") / "clip.mkv", two_shots())


def clip_of(video: Path, calls: list[int] | None = None) -> vs.VideoNode:
    """The frames of a video, as a clip."""
    planes = [frame.planes for frame in open_source(video)]
    blank = core.std.BlankClip(width=WIDTH, height=HEIGHT, format=vs.YUV444P8, length=len(planes), keep=True)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        if calls is not None:
            calls.append(n)
        frame = f.copy()
        for number, plane in enumerate(planes[n]):
            np.asarray(frame[number])[:] = plane
        return frame

    return core.std.ModifyFrame(blank, blank, fill)


def pixels(frame: vs.VideoFrame) -> np.ndarray:
    return np.stack([np.array(frame[plane]) for plane in range(3)])


@pytest.mark.parametrize(
    "options", [{"smooth": 2}, {"smooth": 2, "smooth_mode": "percentile"}, {"smooth": 1, "strength": 0.7, "gamma": 1.2}]
)
def test_file_plugin_and_tensors_give_the_same_bits(video: Path, tmp_path: Path, options: dict) -> None:
    source = open_source(video)
    sdr = torch.stack([code for _, code in read_sdr(source)])
    wanted = Expander("gainmap", eotf=source.signal.eotf, **options).expand(sdr).numpy()
    assert len(wanted) == 17

    convert(video, tmp_path / "out.####.exr", model="gainmap", exr_type="float", **options)
    for number, frame in enumerate(wanted):
        np.testing.assert_array_equal(read_exr(tmp_path / f"out.{1001 + number}.exr")[0], frame)

    for batch in (1, 3):
        expanded = core.hdr.Expand(clip_of(video), model="gainmap", batch=batch, **options)
        order = random.Random(batch).sample(range(17), 17)
        for number in order:
            np.testing.assert_array_equal(pixels(expanded.get_frame(number)), wanted[number])


def digests(clip: vs.VideoNode, order) -> dict[int, str]:
    return {n: hashlib.sha256(pixels(clip.get_frame(n))).hexdigest() for n in order}


@pytest.mark.parametrize("mode", ["gain", "percentile"])
def test_any_order_of_requests_gives_the_same_frames(video: Path, mode: str) -> None:
    def expanded() -> vs.VideoNode:
        return core.hdr.Expand(clip_of(video), model="expandmap", smooth=3, smooth_mode=mode)

    linear = digests(expanded(), range(17))
    assert len(set(linear.values())) == 17
    assert digests(expanded(), reversed(range(17))) == linear
    assert digests(expanded(), random.Random(1).choices(range(17), k=30)).items() <= linear.items()
    clip = expanded()
    requests = {n: clip.get_frame_async(n) for n in random.Random(2).sample(range(17), 17)}
    got = {n: hashlib.sha256(pixels(request.result())).hexdigest() for n, request in requests.items()}
    assert got == linear


def test_random_access_under_vspipe_equals_linear_access(video: Path, tmp_path: Path, vspipe) -> None:
    def hashes(order: str) -> list[str]:
        script = tmp_path / "clip.vpy"
        script.write_text(
            "import sys, torch, vapoursynth as vs\n"
            f"sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}\n"
            "torch.set_num_threads(1)\n"
            "from test_smoothing_doors import clip_of\n"
            f"clip = vs.core.hdr.Expand(clip_of({str(video)!r}), smooth=2, format=vs.RGBS)\n"
            f"numbers = {order}\n"
            "vs.core.std.Splice([clip[n] for n in numbers]).set_output()\n"
        )
        result = vspipe(script, "-")
        assert result.returncode == 0, result.stderr.decode()
        size = 3 * WIDTH * HEIGHT * 4
        return [hashlib.sha256(result.stdout[at : at + size]).hexdigest() for at in range(0, len(result.stdout), size)]

    linear = hashes("list(range(17))")
    assert len(set(linear)) == 17
    assert hashes("list(reversed(range(17)))") == linear[::-1]
    shuffled = random.Random(4).sample(range(17), 17)
    assert hashes(str(shuffled)) == [linear[n] for n in shuffled]


@pytest.mark.parametrize("batch", [1, 3])
def test_linear_access_decodes_and_expands_each_frame_once(video: Path, batch: int, monkeypatch) -> None:
    gain, expanded_frames = Expander.gain, []
    monkeypatch.setattr(
        Expander, "gain", lambda self, sdr, out: (expanded_frames.append(len(sdr)), gain(self, sdr, out))[1]
    )
    calls: list[int] = []
    expanded = core.hdr.Expand(clip_of(video, calls), model="none", smooth=2, batch=batch)
    calls.clear()  # the first frame was looked at for its properties
    for number in range(17):
        expanded.get_frame(number)
    assert Counter(calls) == Counter(range(17))
    assert sum(expanded_frames) == 17


def test_scripts_say_where_shots_begin(video: Path, tmp_path: Path) -> None:
    """A mark in the middle of a shot splits it; a mark of "no" joins two. Through the plugin and through convert."""
    sdr = torch.stack([code for _, code in read_sdr(open_source(video))])
    marked = clip_of(video)[:9].std.SetFrameProps(_SceneChangePrev=0)
    marked = marked[:4] + marked[4].std.SetFrameProps(_SceneChangePrev=1) + marked[5:]
    frames = core.hdr.Expand(marked, model="gainmap", smooth=2)
    parts = [Expander("gainmap", smooth=2).expand(part).numpy() for part in (sdr[:4], sdr[4:9])]
    for number, wanted in enumerate(np.concatenate(parts)):
        np.testing.assert_array_equal(pixels(frames.get_frame(number)), wanted)
    joined = clip_of(video).std.SetFrameProps(_SceneChangePrev=0)
    apart = core.hdr.Expand(clip_of(video), model="gainmap", smooth=2, smooth_mode="percentile").get_frame(8)
    together = core.hdr.Expand(joined, model="gainmap", smooth=2, smooth_mode="percentile").get_frame(8)
    assert not np.array_equal(pixels(apart), pixels(together))


def test_resumed_frames_equal_those_of_a_whole_run(video: Path, tmp_path: Path) -> None:
    pattern = tmp_path / "shot.####.exr"
    convert(video, pattern, smooth=2)
    files = sorted(tmp_path.glob("*.exr"))
    wanted = [read_exr(path)[0] for path in files]
    for number in (0, 7, 8, 13):
        files[number].unlink()
    assert convert(video, pattern, smooth=2, resume=True).frames == 4
    for path, frame in zip(files, wanted, strict=True):
        np.testing.assert_array_equal(read_exr(path)[0], frame)
    for other in ({"smooth": 3}, {"smooth": 2, "smooth_mode": "percentile"}):
        with pytest.raises(ValueError, match="with other options"):
            convert(video, pattern, resume=True, **other)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (101, 53)])
def test_any_size(size: tuple[int, int]) -> None:
    clip = core.std.BlankClip(width=size[0], height=size[1], format=vs.RGB24, length=4, color=[250, 240, 200])
    frame = core.hdr.Expand(clip, smooth=2).get_frame(1)
    assert (frame.width, frame.height) == size
    np.testing.assert_allclose(pixels(frame), pixels(core.hdr.Expand(clip).get_frame(1)), rtol=1e-4)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="smooth must be from 0 to 12"):
        Expander(smooth=13)
    with pytest.raises(vs.Error, match="Expand: smooth_mode must be one of gain, percentile"):
        core.hdr.Expand(core.std.BlankClip(length=1), smooth=1, smooth_mode="median")


def test_the_command_refuses_what_is_out_of_range(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["convert", str(video), str(tmp_path / "out.####.exr"), "--smooth", "13"]) == 1
    assert "smooth must be from 0 to 12, not 13" in capsys.readouterr().err
    assert main(["convert", str(video), str(tmp_path / "out.####.exr"), "--smooth", "1", "--quiet"]) == 0
